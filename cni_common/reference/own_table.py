# SPDX-License-Identifier: Apache-2.0
"""Tables in nftables that belong to the reference plugins alone."""

from __future__ import annotations

from cni_common.kernel import nft
from cni_common.kernel.foreign_rules import MANY, deletion, rules

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cni_common.kernel.foreign_rules import Rule


def remove(
    family: str,
    table: str,
    chains: Sequence[str],
    owned: Callable[[list[Rule]], list[Rule]],
) -> None:
    """Delete what `owned` picks from the rules of `chains`, the containers' chains.

    When no rule is left in them the table goes too. Its other rules are then deleted
    by their handles first: every ADD of the reference writes them anew, so that one
    in between gets the transaction refused instead of losing its rules.
    """
    if rules(family, table, chains[0]) is None:
        return
    found = rules(family, table) or []
    of_containers = [rule for rule in found if rule.chain in chains]
    doomed = owned(of_containers)
    others = len(of_containers) - len(doomed)
    if doomed and others:
        _delete(family, table, doomed)
        # The others may have left at the same moment, each seeing the rest.
        found = (rules(family, table) or []) if others < MANY else []
        is_last = not any(rule.chain in chains for rule in found)
    else:
        is_last = bool(doomed)
    if found and is_last:
        _delete(family, table, found, f"delete table {family} {table}")


def _delete(family: str, table: str, doomed: Sequence[Rule], *more: str) -> None:
    commands = [deletion(family, table, rule) for rule in doomed]
    nft.run("\n".join([*commands, *more]))
