# SPDX-License-Identifier: Apache-2.0
"""Taking rules away: by the record of the attachment, so that DEL reads no
configuration and imports no model of one.
"""

from __future__ import annotations

from cni_common import attachments, naming
from cni_common.naming import Attachment
from cni_common.rollback import Gather
from plugins.firewall import holders, nftables, protection

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request
    from plugins.firewall.protection import Protection


def detach(request: Request) -> bool:
    """Have no rule for the attachment; false if there is no record of it."""
    attachment = Attachment.of(request)
    if protection.read(attachment) is None:
        holders.recall()
        attachment = naming.recalled(attachment)
        if protection.read(attachment) is None:
            return False
    release(attachment)
    request.log.step("rules")
    return True


def release(attachment: Attachment) -> None:
    """Have neither rules nor a record of `attachment`.

    With a firewalld that hangs, all but its sources and the record of them.
    """
    with Gather() as each:
        had = protection.read(attachment)
        if had is not None and had.zone:
            from plugins.firewall import zone  # noqa: PLC0415 - only with firewalld

            each(zone.await_firewalld)
        answers = not each.errors
        with holders.lock():
            had = protection.read(attachment)
            if had is not None:
                each(withdraw, had, attachment, from_zone=answers)
            if not each.errors:
                forget(attachment)


def forget(attachment: Attachment) -> None:
    """Have no record of `attachment`; with the last goes what was marked for all.

    That goes first: after the record nobody would come back for it.
    """
    if not attachments.any_of(protection.NAME, but=attachment):
        holders.unsettle(holders.settled())
    protection.write(attachment, None)


def admit(wanted: Protection, attachment: Attachment, *, again: bool = False) -> None:
    """Have all rules of `wanted`: what keeps apart before what lets through.

    again: some of them may be there already.
    """
    nftables.admit(wanted, attachment, again=again)
    if wanted.filters:
        from plugins.firewall import iptables  # noqa: PLC0415 - only on such hosts

        iptables.admit(wanted, attachment, again=again)
    if wanted.zone:
        from plugins.firewall import zone  # noqa: PLC0415 - only with firewalld

        zone.admit(wanted, attachment)


def withdraw(
    had: Protection, attachment: Attachment, *, from_zone: bool = True
) -> None:
    """Have none of the rules of `had`, in the opposite order."""
    with Gather() as each:
        if had.zone and from_zone:
            from plugins.firewall import zone  # noqa: PLC0415 - only with firewalld

            each(zone.withdraw, had, attachment)
        if had.filters:
            from plugins.firewall import iptables  # noqa: PLC0415 - only on such hosts

            each(iptables.withdraw, had, attachment)
        each(nftables.withdraw, had, attachment)
