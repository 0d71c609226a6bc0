# SPDX-License-Identifier: Apache-2.0
"""portmap: what arrives at a port of the host reaches the container."""

from __future__ import annotations

from contextlib import suppress

from cni_common import attachments
from cni_common.kernel import nft
from cni_common.naming import Attachment
from cni_common.rollback import Gather, Rollback
from cni_common.skel import Plugin
from cni_common.spec.errors import CNIError, Code
from plugins.portmap import checks, excluded, ledger, listening, localnet, rules, wanted
from plugins.portmap.claims import granted
from plugins.portmap.conf import PortmapConf
from plugins.portmap.detach import (
    NAME,
    detach,
    flows,
    forget,
    links_needed,
    links_of,
    ports_of,
    read,
    withdraw,
)

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from cni_common.attachment.part import Repair
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result
    from plugins.portmap.claims import Port
    from plugins.portmap.ledger import Claims


def add(request: Request, conf: PortmapConf) -> Result:
    """The ports asked for lead to the container, and no others; prevResult is kept."""
    previous = request.prev_result
    if previous is None:
        raise CNIError(Code.INVALID_CONFIG, "must be called as chained plugin")
    conf.check()
    for words in conf.without_effect():
        request.log.warning(words)
    attachment = Attachment.of(request)
    claims = wanted.claims(request, conf, previous)
    _check_conditions(claims)
    request.log.step("wanted")
    recorded = read(attachment)
    if not claims and recorded is None:
        ledger.restore()
        return previous
    nft.check_openable()
    deprived = listening.deprived(claims, request.container_id)
    request.log.step("listening")
    with ledger.lock(), Rollback() as undo:
        before = ledger.load({*claims, *ports_of(recorded)})
        after = {
            port: granted(port, present, attachment, claims.get(port, []))
            for port, present in before.items()
        }
        undo(_restore, attachment, recorded)
        _record(attachment, claims)
        undo(excluded.forget, excluded.noted())
        excluded.note(conf.exclude_interfaces)
        undo(ledger.apply, after, before)
        ledger.apply(before, after, claims)
        request.log.step("rules")
        links, earlier = set(links_needed(claims)), set(links_of(recorded))
        for link in links:
            if link not in earlier:
                undo(localnet.release, link, attachment)
            cause = localnet.require(link, attachment)
            if cause:
                request.log.warning(cause)
        for link in earlier - links:
            localnet.release(link, attachment)
        forget(request, [*flows(before, attachment), *flows(claims, attachment)])
        for words in deprived:
            request.log.warning_aloud(words)
        return request.delivered(previous)


def delete(request: Request, conf: PortmapConf) -> None:
    """No port leads to the attachment, whatever the configuration says by now."""
    if detach(request):
        return
    attachment = Attachment.of(request)
    ports = {mapping.port for mapping in conf.mappings}
    with Gather() as each:
        if ports:
            each(withdraw, request, attachment, ports)
        each(_delete_inherited, request, attachment)
        if not each.errors:
            each(attachments.delete, NAME, attachment)  # one that is damaged


def check(request: Request, conf: PortmapConf) -> None:
    """Raise, naming what is missing, unless all that ADD did is in the kernel."""
    previous = request.prev_result
    if previous is None:
        raise CNIError(Code.INVALID_CONFIG, "must be called as chained plugin")
    claims = wanted.claims(request, conf, previous, with_conditions=False)
    if claims:
        checks.check_published(Attachment.of(request), claims)
        for link in links_needed(claims):
            checks.check_localnet(link)


def gc(request: Request, conf: PortmapConf) -> None:
    """No port leads to an attachment of this network that is not a valid one."""
    del conf
    valid = request.valid_attachments
    if valid is None:
        return
    with Gather() as each:
        each(ledger.recall)
        kept = attachments.identities(request.network, valid)
        gone: dict[Attachment, set[Port]] = {
            item: set()
            for item in attachments.stale(NAME, request.network, valid, each)
        }
        for port, claims in ledger.load_all(each).items():
            for holder in (claim.attachment for claim in claims):
                key = (holder.container_id, holder.ifname)
                if holder.network == request.network and key not in kept:
                    gone.setdefault(holder, set()).add(port)
        for attachment, ports in gone.items():
            each(withdraw, request, attachment, ports)
        each(ledger.restore)
        each(localnet.restore)


def status(request: Request, conf: PortmapConf) -> None:
    """Raise unless ADD could write its rules."""
    del request
    conf.check()
    nft.check_writable()


def _delete_inherited(request: Request, attachment: Attachment) -> None:
    from cni_common import inherited  # noqa: PLC0415 - only without a record

    addresses = []
    with suppress(CNIError):  # of a prevResult that is none
        previous = request.prev_result
        addresses = [ip.address for ip in previous.ips] if previous else []
    inherited.portmap(attachment, addresses)


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
        "links": links_needed(claims),
    }
    attachments.write(NAME, attachment, record)


def _restore(attachment: Attachment, recorded: dict[str, Any] | None) -> None:
    if recorded is None:
        attachments.delete(NAME, attachment)
    else:
        attachments.write(NAME, attachment, recorded)


def repair(living: Collection[Attachment], dry_run: bool) -> list[Repair]:  # noqa: FBT001 - as Plugin says
    """The rules of the `living` are in the kernel; returns what was missing."""
    from plugins.portmap import repair as repairing  # noqa: PLC0415 - for the operator

    return repairing.repair(living, dry_run)


PLUGIN = Plugin(
    NAME,
    conf=PortmapConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
    repair=repair,
)
