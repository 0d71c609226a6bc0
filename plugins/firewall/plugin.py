# SPDX-License-Identifier: Apache-2.0
"""firewall: the host forwards for the container, and keeps networks apart if asked."""

from __future__ import annotations

from contextlib import suppress

from cni_common import attachments, previous
from cni_common.kernel import nft
from cni_common.naming import Attachment
from cni_common.rollback import Gather, Rollback
from cni_common.skel import Plugin
from cni_common.spec.errors import CNIError
from plugins import versions_of
from plugins.firewall import (
    checks,
    choice,
    detach,
    following,
    holders,
    protection,
    wanted,
)
from plugins.firewall.conf import FirewallConf
from plugins.firewall.protection import NAME

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.attachment.part import Repair
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result
    from plugins.firewall.protection import Protection

MISSING = "missing prevResult from earlier plugin"


def add(request: Request, conf: FirewallConf) -> Result:
    """What the container sends and its answers are forwarded; prevResult is kept."""
    result = previous.required(request, MISSING)
    conf.check_names()
    there = choice.look(conf.backend)
    chosen = _choice(there, conf, result)
    _tell(request, chosen)
    protected = wanted.protection(conf, result, chosen)
    request.log.step("wanted")
    attachment = Attachment.of(request)
    with holders.lock(), Rollback() as undo:
        recorded = protection.read(attachment)
        # What a record says goes before the record: a killed call is found by it.
        if recorded is not None and recorded != protected:
            undo(detach.admit, recorded, attachment, again=True)
            undo(protection.write, attachment, recorded)
            detach.withdraw(recorded, attachment)
        if recorded != protected:
            undo(_take_back, attachment, protected, recorded)
        protection.write(attachment, protected)
        detach.admit(protected, attachment, again=recorded == protected)
        _follow(request, there, attachment)
        request.log.step("rules")
        return request.delivered(result)


def _take_back(
    attachment: Attachment, protected: Protection, recorded: Protection | None
) -> None:
    """Have no rule of `protected`, and only then the record as it was before."""
    detach.withdraw(protected, attachment)
    if recorded is None:
        detach.forget(attachment)
    else:
        protection.write(attachment, recorded)


def delete(request: Request, conf: FirewallConf) -> None:
    """There is no rule for the attachment, whatever the configuration says by now."""
    if not detach.detach(request):
        with Gather() as each:
            each(_delete_inherited, request, conf)
            if not each.errors:  # one that is damaged
                each(attachments.delete, NAME, Attachment.of(request))


def check(request: Request, conf: FirewallConf) -> None:
    """Raise, naming what is missing, unless all that ADD did is in force."""
    result = previous.required(request, MISSING)
    conf.check_names()
    checks.check_recorded(Attachment.of(request), conf, result)


def gc(request: Request, conf: FirewallConf) -> None:
    """There is no rule for an attachment of this network that is not a valid one."""
    del conf
    valid = request.valid_attachments
    if valid is not None:
        with Gather() as each:
            each(holders.recall)
            for attachment in attachments.stale(NAME, request.network, valid, each):
                each(detach.release, attachment)
    if attachments.any_of(NAME):
        there = choice.look()
        with holders.lock():
            _follow(request, there)


def status(request: Request, conf: FirewallConf) -> None:
    """Raise unless ADD could write its rules."""
    del request
    conf.check_names()
    there = choice.look(conf.backend)
    chosen = choice.choose(there, conf.backend, conf.ingress_policy, (4,))
    if not chosen.filters:
        nft.check_writable()


def _choice(there: choice.Host, conf: FirewallConf, result: Result) -> choice.Choice:
    versions = (address.version for address in wanted.addresses(result))
    return choice.choose(there, conf.backend, conf.ingress_policy, versions)


def _follow(
    request: Request, there: choice.Host, but: Attachment | None = None
) -> None:
    """Have the rules of the others where the host drops; what fails is a warning."""
    each = Gather()
    each(following.follow, there, but)
    for error in each.errors:
        request.log.warning(f"bring rules of other containers up to date: {error}")


def _tell(request: Request, chosen: choice.Choice) -> None:
    request.log.info(f"backend {chosen}: {chosen.why}")
    for chain in chosen.dropping:
        request.log.warning(f"{chain} drops by default what no rule of ours can accept")


def _delete_inherited(request: Request, conf: FirewallConf) -> None:
    """Remove what the reference left, if prevResult tells for which addresses."""
    from cni_common.reference import admission  # noqa: PLC0415 - only without a record
    from plugins.firewall import zone  # noqa: PLC0415 - likewise

    addresses = []
    with suppress(CNIError):  # of a prevResult that is none
        result = request.prev_result
        addresses = [ip.address for ip in result.ips] if result else []
    if not addresses:
        return
    with Gather() as each:
        each(zone.await_firewalld)
        answers = not each.errors
        with holders.lock():
            each(admission.delete, addresses)
            if answers:
                each(zone.delete_unheld, conf.zone, [a.ip for a in addresses])


def repair(living: Collection[Attachment], dry_run: bool) -> list[Repair]:  # noqa: FBT001 - as Plugin says
    """The rules of the `living` are in the kernel; returns what was missing."""
    from plugins.firewall import repair as repairing  # noqa: PLC0415 - for the operator

    return repairing.repair(living, dry_run)


PLUGIN = Plugin(
    NAME,
    conf=FirewallConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
    repair=repair,
    versions=versions_of(NAME),
)
