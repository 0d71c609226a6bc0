# SPDX-License-Identifier: Apache-2.0
"""dnsname: containers of a network find each other by name."""

from __future__ import annotations

from cni_common.attachment import chained
from cni_common.attachment.chained import Scheme
from cni_common.names import dnsmasq
from cni_common.parts.name_server import NameServer
from cni_common.parts.names import Names
from cni_common.previous import required
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import replace
from plugins import REGISTER
from plugins.dnsname import location
from plugins.dnsname.conf import DnsnameConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.chained import Parts
    from cni_common.attachment.node import Node
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result
    from plugins.dnsname.location import Facts

NAME = "dnsname"


def wished(request: Request, conf: DnsnameConf) -> DnsnameConf:
    """Return the configuration; raises Code.INVALID_CONFIG."""
    conf.validate_for(request)
    return conf


def facts(node: Node, request: Request, conf: DnsnameConf, made: Parts) -> Facts:
    """Return what CNI_ARGS and prevResult say; raises CNIError.

    A runtime may leave out on CHECK what it said on ADD; the record knows it.
    """
    found = location.find(request, conf.names(request), required(request))
    if request.command != "CHECK":
        return found
    noted = next((each for each in made if isinstance(each, Names)), None)
    if (
        noted is None
        or not set(found.names) <= set(noted.names)
        or (noted.addresses, noted.servers) != (found.addresses, found.servers)
    ):
        msg = f"check names of {node.attachment}: no record of what prevResult says"
        raise CNIError(Code.INTERNAL, msg)
    return replace(found, names=noted.names)


def plan(attachment: Attachment, conf: DnsnameConf, known: Facts) -> Parts:
    """Return the network's dnsmasq, and the names that it serves for the container."""
    server = NameServer(
        network=attachment.network,
        links=known.links,
        domain=conf.domain,
        remote_servers=tuple(conf.remote_servers),
        domain_server=conf.domain_server,
        pools=tuple(conf.asked_pools or ()) if conf.domain_server else (),
    )
    names, addresses, servers = known.names, known.addresses, known.servers
    return (server, Names(names=names, addresses=addresses, servers=servers))


def told(node: Node, conf: DnsnameConf, parts: Parts, result: Result) -> Result:
    """Return `result` with our servers before its own: only they know the names."""
    del node
    served = [each for each in parts if isinstance(each, Names)]
    servers = [str(server) for each in served for server in each.servers]
    given = result.dns
    search = [*(given.search or []), *([conf.domain] if conf.domain else [])]
    dns = {
        "nameservers": list(dict.fromkeys([*servers, *(given.nameservers or [])])),
        "search": list(dict.fromkeys(search)),
    }
    return result.model_copy(update={"dns": given.model_copy(update=dns)})


def ready(request: Request, conf: DnsnameConf) -> None:
    """Raise CNIError unless ADD could start dnsmasq."""
    conf.validate_for(request)
    dnsmasq.check_watches(dnsmasq.find(request.env))


PLUGIN = chained.plugin(
    Scheme(
        name=NAME,
        wished=wished,
        facts=facts,
        plan=plan,
        told=told,
        ready=ready,
        kinds=REGISTER[NAME]["kinds"],
        refusal="must be called as chained plugin",
    ),
    DnsnameConf,
)
