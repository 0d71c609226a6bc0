# SPDX-License-Identifier: Apache-2.0
"""Our own tables of nftables and what is written down about them.

Anybody may flush a ruleset, a table, a chain, a set. Whoever relies on a table asks
whether it is whole: its rules, and of each kind of record the elements of one that is
not the caller's, at a cost that does not grow (docs/decisions/0047). Where something is
missing the table is made anew from the records, which tell of all elements.

That they do so a mark beside them says. Where it is missing the records are lost, and
who holds the table's lock reads them back from what the elements say of their owners.
"""

from __future__ import annotations

from contextlib import contextmanager

from cni_common import marks, state
from cni_common.kernel import nft
from cni_common.kernel.own_table import removal
from cni_common.spec.digests import sha256_hex
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from cni_common.kernel.own_table import Elements, OwnTable

_ROOM, _SAMPLES = "tables", "table-samples"


class Listed(NamedTuple):
    """An element as nft lists it: parts of its key, of its value, and its comment.

    And what it has counted, if it counts.
    """

    key: tuple[str, ...]
    value: tuple[str, ...]
    comment: str
    packets: int = 0
    bytes: int = 0


def change(
    transaction: str,
    relied: Mapping[OwnTable, Elements | None],
    rebuilt: Callable[[], str],
) -> None:
    """Apply `transaction`, or make tables anew with `rebuilt` where that is wrong.

    That is so where a table lacks a rule or an element that is relied on, or nobody
    knows which those are, and where the kernel has other elements than `transaction`
    builds on. Raises Code.INTERNAL.
    """
    whole = not any(e is None or table.missing(e) for table, e in relied.items())
    if not (whole and _fits(transaction)):
        nft.run(rebuilt())
    for table in relied:
        remember(table.name)


def take(
    table: OwnTable, elements: Elements, rebuilt: Callable[[], str], *, last: bool
) -> None:
    """Delete `elements` of `table`, and the table with the `last` ones.

    Where it lacks a set, or nobody knows the elements, it is made anew with `rebuilt`.
    Raises Code.INTERNAL.
    """
    if last:
        remove(table.name)
    elif not elements or not _fits(table.change(elements, {})):
        nft.run(rebuilt())


@contextmanager
def lock(
    name: str, tables: Iterable[str], recall: Callable[[], None]
) -> Iterator[None]:
    """Hold the lock `name`; what was lost of `tables` is recorded again by `recall`."""
    with state.lock(name):
        if is_lost(*tables):
            recall()
        yield


def is_lost(*tables: str) -> bool:
    """Tell whether one of `tables` is there and nobody remembers the elements of any.

    Their records are the same.
    """
    return not any(map(is_remembered, tables)) and any(map(exists, tables))


def exists(table: str) -> bool:
    """Tell whether the kernel has `table`."""
    from cni_common.kernel import nft_questions  # noqa: PLC0415 - rarely needed

    with nft_questions.about(table) as ask:
        return ask.exists()


def remember(table: str) -> None:
    """Note that the records tell of all elements of `table`."""
    if not is_remembered(table):
        marks.add(_ROOM, _name(table))


def remove(table: str) -> None:
    """Delete `table`, if it is there; raises Code.INTERNAL."""
    nft.run(removal(table))
    forget(table)


def forget(table: str) -> None:
    """Note nothing of `table` any more, which is gone or holds nobody's elements."""
    marks.delete(_ROOM, _name(table))
    _note_all(table, {})
    if state.remove_if_empty(_samples(table)):
        state.remove_if_empty(state.path(_SAMPLES))


def note(table: str, name: str, before: Elements, after: Elements) -> None:
    """Note that the record `name` has the elements `after` of `table`, not `before`."""
    old, new = _kind(before), _kind(after)
    if old and old != new:
        state.delete(_samples(table, old), name)
    if new:
        marks.add(f"{_SAMPLES}/{_name(table)}/{new}", name)


def samples(table: str, elements_of: Callable[[str], Elements]) -> Elements | None:
    """Return the elements of one record of each kind that has any in `table`.

    `elements_of` returns those of a record by its name, none if it is gone. None: what
    records there are is not known, which an earlier version did not note.
    """
    kinds = state.names(_samples(table))
    found: Elements = {}

    def look(name: str) -> Elements:
        more = elements_of(name)
        found.update(more)
        return more

    for kind in kinds:
        state.any_name(_samples(table, kind), look)
    return found if kinds else None


def rebuilt(table: OwnTable, records: Mapping[str, Elements]) -> str:
    """Return the transaction that makes `table` anew with what all `records` have.

    What kinds of records there are is known again.
    """
    every: Elements = {}
    kinds: dict[str, set[str]] = {}
    for name, elements in records.items():
        every |= elements
        if elements:
            kinds.setdefault(_kind(elements), set()).add(name)
    _note_all(table.name, kinds)
    return table.rebuilt(every)


def elements(listed: list[dict[str, Any]], name: str) -> Iterator[Listed]:
    """Yield the elements of the set or map `name` among the objects of a table."""
    for item in listed:
        described = item.get("map") or item.get("set") or {}
        if described.get("name") == name:
            for element in described.get("elem", []):
                key, value = element if "map" in item else (element, None)
                inner = key["elem"] if isinstance(key, dict) and "elem" in key else {}
                found = _parts(inner.get("val", key))
                counted = inner.get("counter") or {}
                numbers = (counted.get(what, 0) for what in ("packets", "bytes"))
                yield Listed(found, _parts(value), inner.get("comment", ""), *numbers)


def _note_all(table: str, kinds: dict[str, set[str]]) -> None:
    """Note these records and no others."""
    for kind in {*state.names(_samples(table)), *kinds}:
        noted, wanted = set(state.names(_samples(table, kind))), kinds.get(kind, set())
        for name in noted - wanted:
            state.delete(_samples(table, kind), name)
        for name in wanted - noted:
            marks.add(f"{_SAMPLES}/{_name(table)}/{kind}", name)


def _kind(elements: Elements) -> str:
    """Return the name of the sets and maps that have elements of a record."""
    kind = "+".join(sorted({key.name for key in elements}))
    return kind if len(kind) <= state.NAME_MAX else sha256_hex(kind)


def _samples(table: str, kind: str = "") -> str:
    return state.path(_SAMPLES, _name(table), *filter(None, (kind,)))


def _fits(transaction: str) -> bool:
    """Apply `transaction`; tell whether the kernel has what it builds on."""
    try:
        if transaction:
            nft.run(transaction)
    except nft.RefusedError as refused:
        if not nft.nothing_done(refused):
            raise
        return False
    return True


def is_remembered(table: str) -> bool:
    """Tell whether the records are known to tell of all elements of `table`."""
    return marks.exists(_ROOM, _name(table))


def _name(table: str) -> str:
    return table.replace(" ", "-")


def _parts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    is_joined = isinstance(value, dict) and "concat" in value
    return tuple(map(_part, value["concat"] if is_joined else [value]))


def _part(value: Any) -> str:
    """Return a part of a key as nft's own language has it; a network is an object."""
    if isinstance(value, dict) and "prefix" in value:
        return "{addr}/{len}".format(**value["prefix"])
    return str(value)
