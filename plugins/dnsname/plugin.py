# SPDX-License-Identifier: Apache-2.0
"""dnsname: containers of a network find each other by name."""

from __future__ import annotations

from cni_common import attachments, previous
from cni_common.naming import Attachment
from cni_common.rollback import Gather, Rollback
from cni_common.skel import Plugin
from cni_common.spec.errors import CNIError, Code
from plugins.dnsname import answers, dnsmasq, inherited, place, record, server
from plugins.dnsname.conf import DnsnameConf
from plugins.dnsname.detach import detach, withdraw
from plugins.dnsname.dnsmasq import Service
from plugins.dnsname.record import Record

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result
    from plugins.dnsname.place import Place

CHAINED = "must be called as chained plugin"


def add(request: Request, conf: DnsnameConf) -> Result:
    """The container is found by its names, and asks for those of its neighbours.

    prevResult is handed on with the name servers and the domain in `dns`.
    """
    result = previous.required(request, CHAINED)
    conf.validate_for(request)
    names = conf.names(request)
    dnsmasq.find(request.env)
    where = place.of(request, result)
    request.log.step("wanted")
    owner = Attachment.of(request)
    noted = Record(tuple(names), where.addresses, where.servers)
    with server.lock(), Rollback() as undo:
        undo(server.restore, owner.network, server.service(owner.network), request.env)
        undo(_put_back, owner, record.read(owner))
        record.write(owner, noted)
        server.publish(owner, noted.hosts(owner))
        inherited.adopt(owner.network, conf.domain)
        server.ensure(owner.network, _service(conf, where), request.env)
        request.log.step("server")
        answers.await_added(owner.network, noted)
        request.log.step("answer")
        return request.delivered(_with_servers(result, conf, where))


def delete(request: Request, conf: DnsnameConf) -> None:
    """No name leads to the attachment; the network's last one takes dnsmasq along."""
    del conf
    if not detach(request):
        inherited.forget(request)


def check(request: Request, conf: DnsnameConf) -> None:
    """Raise, naming what is missing, unless the names are served as ADD left them."""
    result = previous.required(request, CHAINED)
    conf.validate_for(request)
    where = place.of(request, result)
    owner = Attachment.of(request)
    noted = record.read(owner)
    # A runtime may leave out on CHECK what it said on ADD; the record knows it.
    if (
        noted is None
        or not set(conf.names(request)) <= set(noted.names)
        or (noted.addresses, noted.servers) != (where.addresses, where.servers)
    ):
        msg = f"check names of {owner}: no record of what prevResult says"
        raise CNIError(Code.INTERNAL, msg)
    if server.published(owner) != noted.hosts(owner):
        msg = f"check names of {owner}: file in {server.hosts_directory(owner.network)}"
        raise CNIError(Code.INTERNAL, f"{msg} is missing or changed")
    with server.running(owner.network) as process:
        if process is None or not process.is_in_our_netns():
            msg = f"check dnsmasq of network {owner.network}: not running"
            raise CNIError(Code.INTERNAL, msg)
    answers.check(owner.network, noted)


def gc(request: Request, conf: DnsnameConf) -> None:
    """No name leads to an attachment of this network that is not a valid one."""
    del conf
    valid = request.valid_attachments
    if valid is None:
        return
    network = request.network
    with Gather() as each:
        for owner in attachments.stale(record.PLUGIN, network, valid, each):
            each(withdraw, request, owner)
        with server.lock():
            each(server.collect, network, [Attachment(network, *key) for key in valid])


def status(request: Request, conf: DnsnameConf) -> None:
    """Raise unless ADD could start dnsmasq."""
    conf.validate_for(request)
    dnsmasq.check_watches(dnsmasq.find(request.env))


def _service(conf: DnsnameConf, where: Place) -> Service:
    return Service(where.links, conf.domain, tuple(map(str, conf.remote_servers)))


def _put_back(owner: Attachment, noted: Record | None) -> None:
    """Have served for `owner` what was served before a failed ADD."""
    if noted is None:
        server.withdraw(owner)
        record.delete(owner)
    else:
        record.write(owner, noted)
        server.publish(owner, noted.hosts(owner))


def _with_servers(result: Result, conf: DnsnameConf, where: Place) -> Result:
    """Return `result` with our servers before its own: only they know the names."""
    given = result.dns
    servers = [str(server) for server in where.servers]
    search = given.search or []
    dns = {
        "nameservers": list(dict.fromkeys(servers + (given.nameservers or []))),
        "search": list(
            dict.fromkeys([*search, conf.domain] if conf.domain else search)
        ),
    }
    return result.model_copy(update={"dns": given.model_copy(update=dns)})


PLUGIN = Plugin(
    record.PLUGIN,
    conf=DnsnameConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
)
