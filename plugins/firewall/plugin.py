# SPDX-License-Identifier: Apache-2.0
"""firewall: the host forwards for the container, and keeps networks apart if asked."""

from __future__ import annotations

from cni_common import previous
from cni_common.allowed import choice
from cni_common.attachment import chained
from cni_common.attachment.chained import Scheme
from cni_common.kernel import nft
from cni_common.parts.allowed import Allowed
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from plugins import REGISTER, versions_of
from plugins.firewall.conf import FirewallConf, Policy, nameable

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.attachment.chained import Parts
    from cni_common.attachment.node import Node
    from cni_common.kernel.link_answer import Link
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPAddress
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result

NAME = "firewall"


@dataclass(frozen=True)
class Facts:
    """The container's addresses; the host's links towards it, and its ports of bridges.

    `made` is what ADD has made, which is what CHECK looks for.
    """

    addresses: tuple[IPAddress, ...]
    links: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    made: Parts = ()


def wished(request: Request, conf: FirewallConf) -> FirewallConf:
    """Return the configuration; raises Code.INVALID_CONFIG."""
    del request
    conf.check_names()
    return conf


def facts(node: Node, request: Request, conf: FirewallConf, made: Parts) -> Facts:
    """Return whom prevResult tells of, and log what carries the rules.

    Raises Code.INVALID_CONFIG where the policy finds no link to guard, and 999.
    """
    result = previous.required(request)
    # Every address once, of whichever interface it says it is.
    addresses = tuple(dict.fromkeys(ip.address.ip for ip in result.ips))
    if request.command == "CHECK":
        _require_same(node.attachment, conf, addresses, made)
        return Facts(addresses, made=made)
    there = node.once(choice.look, str(conf.backend))
    versions = frozenset(address.version for address in addresses)
    guards = conf.ingress_policy is not Policy.OPEN
    chosen = choice.choose(there, str(conf.backend), versions, guards=guards)
    _tell(request, chosen)
    links, ports = _host_links(node, conf, result) if guards else ((), ())
    return Facts(addresses, links, ports)


def plan(attachment: Attachment, conf: FirewallConf, known: Facts) -> Parts:
    """Return what is allowed, which the attachment itself says nothing about."""
    del attachment
    isolated = conf.ingress_policy is Policy.ISOLATED
    return known.made or (
        Allowed(
            addresses=known.addresses,
            guarded=known.links,
            isolated=isolated,
            ports=known.ports if isolated else (),
            pools=tuple(conf.remote_pools or ()),
            overlay=conf.overlay_link,
            backend=str(conf.backend),
            admin_chain=conf.admin_chain,
            zone=conf.zone,
        ),
    )


def ready(request: Request, conf: FirewallConf) -> None:
    """Raise Code.INTERNAL unless ADD could write its rules."""
    del request
    conf.check_names()
    there = choice.look(conf.backend)
    guards = conf.ingress_policy is not Policy.OPEN
    if not choice.choose(there, conf.backend, frozenset({4}), guards=guards).filters:
        nft.check_writable()


def _require_same(
    attachment: Attachment,
    conf: FirewallConf,
    asked: Collection[IPAddress],
    made: Parts,
) -> None:
    """Raise Code.INTERNAL unless what ADD has `made` is what is asked for."""
    found = next((part for part in made if isinstance(part, Allowed)), None)
    if found is None:
        raise _missing(f"record of {attachment}")
    for address in asked:
        if address not in found.addresses:
            raise _missing(f"address {address} in the record of {attachment}")
    if found.policy != conf.ingress_policy:
        cause = f"it was attached with {found.policy}"
        raise _missing(f"ingressPolicy {conf.ingress_policy}: {cause}")
    if (found.pools, found.overlay) != (
        tuple(conf.remote_pools or ()),
        conf.overlay_link,
    ):
        raise _missing("pools and overlayLink: it was attached with others")


def _missing(what: str) -> CNIError:
    return CNIError(Code.INTERNAL, f"check firewall: missing {what}")


def _host_links(
    node: Node, conf: FirewallConf, result: Result
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the host's links towards the container, and its ports of bridges."""
    names = dict.fromkeys(i.name for i in result.interfaces if not i.sandbox)
    every = [node.link(name) for name in names]
    for name in names:
        if not nameable(name):
            msg = f"use ingressPolicy {conf.ingress_policy!s}: no rule can name"
            raise CNIError(Code.INVALID_CONFIG, f"{msg} the link {name}")
    links = tuple(link.name for link in every if _is_routed(link))
    if not links:
        msg = f"use ingressPolicy {conf.ingress_policy!s}"
        cause = "prevResult names no link of the host towards the container"
        raise CNIError(Code.INVALID_CONFIG, f"{msg}: {cause}")
    return links, tuple(link.name for link in every if not _is_routed(link))


def _is_routed(link: Link) -> bool:
    """Tell whether the host itself routes by `link`: a bridge, or no port of one."""
    return link.kind == "bridge" or not link.master


def _tell(request: Request, chosen: choice.Choice) -> None:
    request.log.info(f"backend {chosen}: {chosen.why}")
    for chain in chosen.dropping:
        request.log.warning(f"{chain} drops by default what no rule of ours can accept")


PLUGIN = chained.plugin(
    Scheme(
        name=NAME,
        wished=wished,
        facts=facts,
        plan=plan,
        ready=ready,
        kinds=REGISTER[NAME]["kinds"],
        refusal="missing prevResult from earlier plugin",
    ),
    FirewallConf,
    versions_of(NAME),
)
