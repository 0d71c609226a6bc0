# SPDX-License-Identifier: Apache-2.0
"""Putting back what somebody took of the rules that let containers' packets through."""

from __future__ import annotations

from cni_common import naming
from cni_common.attachment.part import Repair
from cni_common.rollback import Gather
from plugins.firewall import choice, following, holders, nftables, protection

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cni_common.naming import Attachment
    from plugins.firewall.protection import Protection

    Recorded = list[tuple[Attachment, Protection]]


def repair(living: Collection[Attachment], dry_run: bool) -> list[Repair]:  # noqa: FBT001 - as Plugin says
    """Have the rules of `living` wherever they are needed; return what was missing.

    The tables are looked at once, and made anew for everybody. With `dry_run` nothing
    is changed.
    """
    there = choice.look()
    with holders.lock():
        recorded = [each for each in protection.recorded() if each[0] in living]
        found = list(_in_tables(recorded))
        repairs = _done(found, nftables.rebuild, dry_run=dry_run)
        found = list(_elsewhere(recorded, there))
        repairs += _done(found, lambda: _bring(recorded, there), dry_run=dry_run)
    return repairs


def _done(
    found: list[Repair], restore: Callable[[], object], *, dry_run: bool
) -> list[Repair]:
    """Return what was `found`, after it was put back, and why it could not be."""
    each = Gather()
    if found and not dry_run:
        each(restore)
    causes = "; ".join(map(str, each.errors))
    return [item._replace(failure=causes) for item in found]


def _in_tables(recorded: Recorded) -> Iterator[Repair]:
    owners = {naming.comment(owner): owner for owner, _ in recorded}
    for text, comment in nftables.lacking(recorded):
        yield Repair(f"missing {text}", owner=owners.get(comment))


def _elsewhere(recorded: Recorded, there: choice.Host) -> Iterator[Repair]:
    """Yield what is missing of iptables and zones, each attachment's first thing."""
    for owner, had in recorded:
        wanted = following.wanted(there, had)
        for name in sorted(set(wanted.filters) - set(had.filters)):
            yield Repair(f"missing rules in filter table {name}", owner=owner)
        each = Gather()
        if had.filters:
            from plugins.firewall import iptables  # noqa: PLC0415 - only on such hosts

            each(iptables.check, had, owner)
        if there.firewalld and wanted.zone:
            from plugins.firewall import zone  # noqa: PLC0415 - only with firewalld

            each(zone.check, wanted)
        for error in each.errors:
            yield Repair(str(error).removeprefix("check firewall: "), owner=owner)


def _bring(recorded: Recorded, there: choice.Host) -> None:
    """Have the rules in iptables and firewalld, of before and those needed now."""
    holders.unsettle(holders.settled())
    with Gather() as each:
        each(following.follow, there)
        kept = [pair for pair in recorded if pair[1].filters]
        if kept:
            from plugins.firewall import iptables  # noqa: PLC0415 - only on such hosts

            each(iptables.admit_all, kept, again=True)
