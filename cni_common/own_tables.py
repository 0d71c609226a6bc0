# SPDX-License-Identifier: Apache-2.0
"""The suite's own nftables tables: as they were declared, or made anew.

Anybody may flush a ruleset, a table or a chain. What is written down says what there
has to be; whoever relies on a table asks whether its rules are there, at a cost that
does not grow with its elements (docs/decisions/0024).

A mark beside the records says that they tell of all elements of a table. Where it is
missing the records are lost, and who holds the table's lock reads them back from what
the elements say about their owners.
"""

from __future__ import annotations

import os
from collections import Counter

from cni_common import marks, state
from cni_common.kernel import nft, rule_list
from cni_common.kernel.rule_list import Rule
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

_ROOM = "tables"


class Element(NamedTuple):
    """An element as nft lists it: parts of its key, of its value, and its comment."""

    key: tuple[str, ...]
    value: tuple[str, ...]
    comment: str


def is_whole(table: str, declaration: str) -> bool:
    """Tell whether the kernel has each rule of `table` that `declaration` adds.

    A rule is known by its chain and its comment. Raises code 999 when the kernel
    does not tell.
    """
    declared = Counter(_declared(f"add rule {table} ", declaration))
    return not declared - Counter(rule_list.rules(table))


def _declared(beginning: str, declaration: str) -> Iterator[Rule]:
    """Yield the rules that lines with this beginning add."""
    for line in declaration.splitlines():
        if line.startswith(beginning):
            chain, _, rest = line.removeprefix(beginning).partition(" ")
            quoted = rest.rpartition(' comment "')[2]
            yield Rule(chain, quoted[:-1] if quoted != rest else "")


def is_lost(table: str) -> bool:
    """Tell whether there is a `table` of which nobody remembers the elements."""
    return not _is_remembered(table) and rule_list.table_exists(table)


def remember(table: str) -> None:
    """Know that the records tell of all elements of `table`."""
    if not _is_remembered(table):
        marks.add(_ROOM, _name(table))


def remove(table: str) -> None:
    """Have no `table`, whether it was there; raises code 999."""
    nft.run(f"add table {table}\ndelete table {table}\n")
    forget(table)


def forget(table: str) -> None:
    """Know of no elements of `table`, which is gone or holds nobody's."""
    marks.delete(_ROOM, _name(table))


def elements(listed: list[dict[str, Any]], name: str) -> Iterator[Element]:
    """Yield the elements of the set or map `name` among the objects of a table."""
    for item in listed:
        described = item.get("map") or item.get("set") or {}
        if described.get("name") == name:
            for element in described.get("elem", []):
                key, value = element if "map" in item else (element, None)
                inner = key["elem"] if isinstance(key, dict) and "elem" in key else {}
                found = _parts(inner.get("val", key))
                yield Element(found, _parts(value), inner.get("comment", ""))


def change(
    transaction: str, declared: dict[str, str], rebuilt: Callable[[], str]
) -> None:
    """Apply `transaction`, or make tables anew with `rebuilt` where that is wrong.

    That is so where a table lacks a rule of what is `declared` for it, or where the
    kernel has other elements than `transaction` builds on. Raises code 999.
    """
    if all(is_whole(table, text) for table, text in declared.items()):
        try:
            if transaction:
                nft.run(transaction)
            _remember_all(declared)
        except nft.RefusedError as refused:
            if not nft.nothing_done(refused):
                raise
        else:
            return
    nft.run(rebuilt())
    _remember_all(declared)


def _remember_all(tables: Iterable[str]) -> None:
    for table in tables:
        remember(table)


def _is_remembered(table: str) -> bool:
    return os.path.lexists(state.path(_ROOM, _name(table)))


def _name(table: str) -> str:
    return table.replace(" ", "-")


def _parts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value["concat"] if isinstance(value, dict) else [value]
    return tuple(map(str, parts))
