# SPDX-License-Identifier: Apache-2.0
"""Putting back what somebody took of the rules of published ports."""

from __future__ import annotations

from cni_common import naming
from cni_common.attachment.part import Repair
from cni_common.rollback import Gather
from plugins.portmap import elements, ledger, localnet, rules

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cni_common.kernel.own_table import Lack
    from cni_common.naming import Attachment


def repair(living: Collection[Attachment], dry_run: bool) -> list[Repair]:  # noqa: FBT001 - as Plugin says
    """Have what the ports of `living` need in the kernel; return what was missing.

    The table is looked at once, and made anew for everybody. With `dry_run` nothing is
    changed.
    """
    owners = {naming.comment(owner): owner for owner in living}
    with ledger.lock():
        found = list(_lacking(owners.keys()))
        each = Gather()
        if found and not dry_run:
            each(ledger.rebuild)
        causes = "; ".join(map(str, each.errors))
        repairs = [Repair(f"missing {w}", causes, owners.get(o)) for w, o in found]
        users = {owner.digest() for owner in living}
        for link, missing in localnet.lacking(users):
            each = Gather()
            cause = "" if dry_run else each(localnet.restore, [link])
            causes = cause or "; ".join(map(str, each.errors))
            repairs.append(Repair(f"missing {missing} of link {link}", causes))
    return repairs


def _lacking(owners: Collection[str]) -> Iterator[Lack]:
    """Yield what the kernel lacks of the table, and of the elements of `owners`."""
    every = ledger.load_all()
    wanted = {
        key: content
        for port, held in every.items()
        for key, content in elements.of_claims(port, held).items()
        if content.comment in owners
    }
    if wanted:
        claims = (claim for held in every.values() for claim in held)
        yield from rules.table(sorted(ledger.scopes(claims))).lacking(wanted)
