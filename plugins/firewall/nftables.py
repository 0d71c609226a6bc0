# SPDX-License-Identifier: Apache-2.0
"""The backend nftables: addresses, links and ports as elements of two own tables."""

from __future__ import annotations

from cni_common import naming, own_tables
from cni_common.kernel import nft, nft_questions
from cni_common.spec.errors import CNIError, Code
from plugins.firewall import holders, protection, rules
from plugins.firewall.holders import INET, PORTS, TABLES

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cni_common.kernel.own_table import Elements, Lack, OwnTable
    from cni_common.naming import Attachment
    from plugins.firewall.protection import Protection

_ENTRIES = {INET: rules.of_protection, PORTS: rules.of_ports}


def admit(wanted: Protection, attachment: Attachment, *, again: bool) -> None:
    """Have the elements of `wanted` in the kernel.

    If somebody removed rules or elements since, those of what is attached `again` among
    them, all that is recorded comes back.
    """
    transaction = ""
    relied: dict[OwnTable, Elements | None] = {}
    for place, table in TABLES.items():
        entries = _ENTRIES[place](wanted)
        if not entries:
            continue
        own = _owned(entries, attachment)
        # An address that had another holder gets its new owner's comment.
        passed = set(entries) - set(holders.unneeded(place, entries, attachment))
        others = rules.elements(e for e in passed if e.startswith("address "))
        transaction += table.change(others, own)
        samples = holders.samples(place)
        relied[table] = samples if samples is None or not again else samples | own
        holders.add(place, entries, attachment)
    if relied:
        own_tables.change(transaction, relied, _rebuilt)


def renew(moved: Iterable[tuple[Attachment, Protection, Protection]]) -> None:
    """Have for attachments the elements of what they have now, and no earlier ones.

    To be called with what they had and have, the latter recorded, in one transaction
    for all of them.
    """
    changes = list(moved)
    for attachment, had, wanted in changes:
        old, new = rules.of_protection(had), rules.of_protection(wanted)
        holders.add(INET, new, attachment)
        holders.delete(INET, set(old) - set(new), attachment)
    if changes:
        rebuilt = _rebuilt()
        if rules.TABLE not in rebuilt and _administrators():
            rebuilt += rules.ROUTED.rebuilt({})
        nft.run(rebuilt)
        if rules.TABLE in rebuilt:
            own_tables.remember(rules.TABLE)
        else:
            own_tables.remove(rules.TABLE)


def withdraw(had: Protection, attachment: Attachment) -> None:
    """Have no element in the kernel that nobody but `attachment` needed.

    With the last one the tables go, the administrator's chain only if it is empty.
    """
    for place, table in TABLES.items():
        entries = _ENTRIES[place](had)
        unneeded = holders.unneeded(place, entries, attachment)
        is_last = bool(unneeded) and holders.is_last(place, unneeded)
        if unneeded:
            own_tables.take(
                table,
                _owned(unneeded, attachment),
                lambda: _rebuilt(without=attachment),
                last=is_last and not (place == INET and _administrators()),
            )
        if is_last:
            own_tables.forget(table.name)
        holders.delete(place, entries, attachment)


def check(had: Protection, attachment: Attachment) -> None:
    """Raise Code.INTERNAL naming the first rule or element that is missing."""
    for place, table in TABLES.items():
        entries = _ENTRIES[place](had)
        missing = entries and table.missing(_owned(entries, attachment), thorough=True)
        if missing:
            msg = f"check firewall: missing {missing}"
            raise CNIError(Code.INTERNAL, msg, f"in nft table {table.name}")


def lacking(recorded: Iterable[tuple[Attachment, Protection]]) -> Iterator[Lack]:
    """Yield what the kernel lacks for what is `recorded`; each table is asked once."""
    every = list(recorded)
    for place, table in TABLES.items():
        expected: Elements = {}
        for attachment, had in every:
            expected |= _owned(_ENTRIES[place](had), attachment)
        if expected:
            yield from table.lacking(expected)


def rebuild() -> None:
    """Have the tables made anew with all that is recorded. Raises Code.INTERNAL."""
    transaction = _rebuilt()
    used = [t for t in TABLES.values() if f"table {t.name} {{" in transaction]
    own_tables.change("", dict.fromkeys(used), lambda: transaction)


def _administrators() -> bool:
    """Tell whether the administrator's chain has rules; asked for the last one only.

    The kernel itself deletes a chain together with its rules.
    """
    return any(rule.chain == rules.ADMIN for rule in nft_questions.rules(rules.TABLE))


def _owned(entries: Iterable[str], attachment: Attachment) -> Elements:
    return rules.elements(entries, naming.comment(attachment))


def _rebuilt(without: Attachment | None = None) -> str:
    """Return the transaction that makes the tables anew with all that is recorded."""
    recorded: dict[str, dict[str, Elements]] = {place: {} for place in TABLES}
    for attachment, had in protection.recorded():
        if attachment != without:
            for place, found in recorded.items():
                for entry in _ENTRIES[place](had):
                    found.setdefault(entry, _owned([entry], attachment))
    return "".join(
        own_tables.rebuilt(TABLES[place], found)
        for place, found in recorded.items()
        if found
    )
