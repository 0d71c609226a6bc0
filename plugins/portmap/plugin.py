# SPDX-License-Identifier: Apache-2.0
"""portmap: what arrives at a port of the host reaches the container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common import attachments
from cni_common.kernel import conntrack, nft
from cni_common.naming import Attachment
from cni_common.rollback import Gather, Rollback
from cni_common.skel import Plugin
from cni_common.spec.errors import CNIError, Code
from plugins.portmap import checks, ledger, localnet, rules, wanted
from plugins.portmap.claims import granted
from plugins.portmap.conf import PortmapConf

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cni_common.spec.request import Request
    from cni_common.spec.result import Result
    from plugins.portmap.claims import Port
    from plugins.portmap.ledger import Claims

NAME = "portmap"


def add(request: Request, conf: PortmapConf) -> Result:
    """The ports asked for lead to the container, and no others; prevResult is kept."""
    previous = request.prev_result
    if previous is None:
        raise CNIError(Code.INVALID_CONFIG, "must be called as chained plugin")
    conf.check_supported()
    if conf.backend == "iptables":
        request.log.warning("backend iptables is served by nftables")
    attachment = Attachment.of(request)
    claims = wanted.claims(request, conf, previous)
    _check_conditions(claims)
    request.log.step("wanted")
    recorded = attachments.read(NAME, attachment)
    if not claims and recorded is None:
        return previous
    with ledger.lock(), Rollback() as undo:
        before = ledger.load({*claims, *_ports(recorded)})
        after = {
            port: granted(port, present, attachment, claims.get(port, []))
            for port, present in before.items()
        }
        undo(_restore, attachment, recorded)
        _record(attachment, claims)
        undo(ledger.apply, after, before)
        ledger.apply(before, after)
        request.log.step("rules")
        links, earlier = set(_links(claims)), set(_recorded_links(recorded))
        for link in links:
            if link not in earlier:
                undo(localnet.release, link, attachment)
            localnet.require(link, attachment)
        for link in earlier - links:
            localnet.release(link, attachment)
    _forget_flows(request, [*_held(before, attachment), *_held(claims, attachment)])
    return previous


def delete(request: Request, conf: PortmapConf) -> None:
    """No port leads to the attachment, whatever the configuration says by now."""
    attachment = Attachment.of(request)
    recorded = attachments.read(NAME, attachment)
    ports = {mapping.port for mapping in conf.mappings} | set(_ports(recorded))
    with Gather() as each:
        if ports or recorded is not None:
            each(_withdraw, request, attachment, ports)
        if recorded is None:
            each(_delete_inherited, attachment)


def check(request: Request, conf: PortmapConf) -> None:
    """Raise, naming what is missing, unless all that ADD did is in the kernel."""
    previous = request.prev_result
    if previous is None:
        raise CNIError(Code.INVALID_CONFIG, "must be called as chained plugin")
    conf.check_supported()
    claims = wanted.claims(request, conf, previous)
    if claims:
        checks.check_published(Attachment.of(request), claims)
        for link in _links(claims):
            checks.check_localnet(link)


def gc(request: Request, conf: PortmapConf) -> None:
    """No port leads to an attachment of this network that is not a valid one."""
    del conf
    valid = request.valid_attachments
    if valid is None:
        return
    gone: dict[Attachment, set[Port]] = {
        item: set() for item in attachments.stale(NAME, request.network, valid)
    }
    for port, claims in ledger.load_all().items():
        for holder in (claim.attachment for claim in claims):
            key = (holder.container_id, holder.ifname)
            if holder.network == request.network and key not in valid:
                gone.setdefault(holder, set()).add(port)
    with Gather() as each:
        for attachment, ports in gone.items():
            each(_withdraw, request, attachment, ports)


def status(request: Request, conf: PortmapConf) -> None:
    """Raise unless ADD could write its rules."""
    del request
    conf.check_supported()
    nft.check_writable()


def _withdraw(request: Request, attachment: Attachment, ports: Iterable[Port]) -> None:
    with ledger.lock():
        recorded = attachments.read(NAME, attachment)
        before = ledger.load({*ports, *_ports(recorded)})
        after = {
            port: granted(port, present, attachment, [])
            for port, present in before.items()
        }
        for link in {*_links(before), *_recorded_links(recorded)}:
            localnet.release(link, attachment)
        ledger.apply(before, after)
        attachments.delete(NAME, attachment)
    _forget_flows(request, _held(before, attachment))


def _delete_inherited(attachment: Attachment) -> None:
    from cni_common import inherited  # noqa: PLC0415 - only without a record

    inherited.portmap(attachment)


def _check_conditions(claims: Claims) -> None:
    found = ledger.scopes(claim for held in claims.values() for claim in held)
    for scope in sorted(found):
        if not ledger.is_declared(scope):
            rules.check_conditions(scope, f"conditionsV{scope.family}")


def _record(attachment: Attachment, claims: Claims) -> None:
    if not claims:
        attachments.delete(NAME, attachment)
        return
    targets = {t for held in claims.values() for claim in held for t in claim.targets}
    record = {
        "ports": [ledger.file_name(port) for port in claims],
        "addresses": sorted(target.address for target in targets),
        "links": _links(claims),
    }
    attachments.write(NAME, attachment, record)


def _restore(attachment: Attachment, recorded: dict[str, Any] | None) -> None:
    if recorded is None:
        attachments.delete(NAME, attachment)
    else:
        attachments.write(NAME, attachment, recorded)


def _ports(recorded: dict[str, Any] | None) -> list[Port]:
    return [ledger.port_of(name) for name in (recorded or {}).get("ports", [])]


def _recorded_links(recorded: dict[str, Any] | None) -> list[str]:
    return list((recorded or {}).get("links", []))


def _links(claims: Claims) -> list[str]:
    """Return the links that need route_localnet for the claims, sorted."""
    every = [claim for held in claims.values() for claim in held if claim.snat]
    found = {t.link for claim in every for t in claim.targets if t.family == 4}  # noqa: PLR2004 - the family's number
    return sorted(found - {""})


def _held(claims: Claims, attachment: Attachment) -> list[conntrack.Flow]:
    """Return the UDP flows that the attachment's claims are about."""
    return [
        conntrack.Flow(family, port.number, at)
        for port, held in claims.items()
        if port.protocol == "udp"
        for claim in held
        if claim.attachment == attachment
        for family, at in claim.published.items()
    ]


def _forget_flows(request: Request, flows: list[conntrack.Flow]) -> None:
    if flows:
        cause = conntrack.delete_udp(set(flows))
        if cause:
            request.log.warning(f"delete UDP entries of conntrack: {cause}")
    request.log.step("conntrack")


PLUGIN = Plugin(
    NAME,
    conf=PortmapConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
)
