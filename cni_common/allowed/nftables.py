# SPDX-License-Identifier: Apache-2.0
"""The backend nftables: addresses, links and ports as elements of two own tables."""

from __future__ import annotations

from cni_common import naming, own_tables
from cni_common.allowed import rules, users
from cni_common.allowed.rules import INET
from cni_common.kernel import nft
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.allowed.users import Own, Pair
    from cni_common.kernel.nft_sets import Sets
    from cni_common.kernel.own_table import Elements, Lack, OwnTable
    from cni_common.naming import Attachment
    from cni_common.parts.allowed import Allowed


def ensure(own: Pair, *, filtered: bool, again: bool) -> None:
    """Ensure the elements of `own`; where its rules are in iptables, `filtered`.

    If somebody removed rules or elements since, those of what is allowed `again` among
    them, all that is recorded comes back.
    """
    attachment, part = own
    transaction = ""
    relied: dict[OwnTable, Elements | None] = {}
    for place, table in users.TABLES.items():
        needed = _needed(place, part, filtered=filtered)
        if not needed:
            continue
        elements = _owned(needed, attachment)
        # An address that had another holder gets its new owner's comment.
        passed = set(needed) - set(users.unneeded(place, needed, attachment))
        others = rules.elements(e for e in passed if e.startswith("address "))
        transaction += table.change(others, elements)
        samples = users.samples(place)
        relied[table] = samples if samples is None or not again else samples | elements
        users.add(place, needed, attachment)
    try:
        if relied:
            own_tables.change(transaction, relied, lambda: _rebuilt(own))
    except nft.RefusedError as error:
        if part.pools and nft.is_overlap(error):
            pools = ", ".join(map(str, part.pools))
            cause = "a pool of another network overlaps it"
            msg = f"use pools {pools}: {cause}"
            raise CNIError(Code.INVALID_CONFIG, msg, error.details) from error
        raise


def renew(moved: Iterable[Pair], own: Own) -> None:
    """Replace the elements of those whose rules are in iptables by now.

    In one transaction for all of them; `own` may be another than is recorded.
    """
    changes = list(moved)
    for attachment, part in changes:
        former = rules.routed(part, filtered=False)
        wanted = rules.routed(part, filtered=True)
        users.add(INET, wanted, attachment)
        gone = [entry for entry in former if entry not in wanted]
        users.delete(INET, gone, attachment)
    if changes:
        rebuilt = _rebuilt(own)
        if rules.TABLE not in rebuilt and _administrators():
            rebuilt += rules.ROUTED.rebuilt({})
        nft.run(rebuilt)
        if rules.TABLE in rebuilt:
            own_tables.remember(rules.TABLE)
        else:
            own_tables.remove(rules.TABLE)


def remove(place: str, part: Allowed, attachment: Attachment) -> None:
    """Remove the elements of a table that nobody but `attachment` needs.

    With the last one the table goes, the administrator's chain only if it is empty.
    """
    table, entries = users.TABLES[place], rules.entries(place, part)
    unneeded = users.unneeded(place, entries, attachment)
    is_last = bool(unneeded) and users.is_last(place, unneeded)
    if unneeded:
        own_tables.take(
            table,
            _owned(unneeded, attachment),
            lambda: _rebuilt((attachment, None)),
            last=is_last and not (place == INET and _administrators()),
        )
    if is_last:
        own_tables.forget(table.name)
    users.delete(place, entries, attachment)


def remove_unused() -> None:
    """Remove the tables of which nobody needs an element, but for those with rules of
    the administrator.
    """
    for place, table in users.TABLES.items():
        is_unused = users.is_last(place, ()) and own_tables.exists(table.name)
        if is_unused and not (place == INET and _administrators()):
            own_tables.remove(table.name)


def require(
    part: Allowed,
    attachment: Attachment,
    *,
    filtered: bool,
    sets: Sets | None = None,
) -> None:
    """Raise Code.INTERNAL naming the first element that is missing in a table.

    Who looks at many has `sets`.
    """
    for place, table in users.TABLES.items():
        needed = _needed(place, part, filtered=filtered)
        if needed:
            elements = _owned(needed, attachment)
            _refuse(table, next(table.lacking_elements(elements, sets), None))


def require_rules() -> None:
    """Raise Code.INTERNAL naming the first thing that all miss of a table in use.

    One that an earlier release has made is whole until anybody needs more of it.
    """
    for table in _used():
        lack = next(table.lacking({}), None)
        if lack is not None and not (table == rules.ROUTED and _is_of_before()):
            _refuse(table, lack)


def _is_of_before() -> bool:
    from cni_common.allowed.rules_before import ROUTED  # noqa: PLC0415 - after an upgrade
    from cni_common.kernel import table_lacks  # noqa: PLC0415 - likewise

    needs_more = any(rules.remote(part) for _, part in users.recorded())
    return not needs_more and table_lacks.has_rules_alone(ROUTED)


def rebuild() -> None:
    """Make the tables anew with all that is needed; raises Code.INTERNAL."""
    own_tables.change("", dict.fromkeys(_used()), lambda: _rebuilt(None))


def _used() -> list[OwnTable]:
    """Return the tables of which anybody needs an element."""
    return [t for place, t in users.TABLES.items() if not users.is_last(place, ())]


def _refuse(table: OwnTable, lack: Lack | None) -> None:
    if lack is not None:
        msg = f"check firewall: missing {lack.text}"
        raise CNIError(Code.INTERNAL, msg, f"in nft table {table.name}")


def _administrators() -> bool:
    """Tell whether the administrator's chain has rules; asked for the last one only.

    The kernel itself deletes a chain together with its rules.
    """
    from cni_common.kernel import nft_questions  # noqa: PLC0415 - rare

    return any(rule.chain == rules.ADMIN for rule in nft_questions.rules(rules.TABLE))


def _needed(place: str, part: Allowed, *, filtered: bool) -> tuple[str, ...]:
    if place == INET:
        return rules.routed(part, filtered=filtered)
    return rules.entries(place, part)


def _owned(entries: Iterable[str], attachment: Attachment) -> Elements:
    return rules.elements(entries, naming.comment(attachment))


def _rebuilt(own: Own) -> str:
    """Return the transaction that makes the tables anew with all that is needed.

    That is by the records, and by `own`.
    """
    found: dict[str, dict[str, Elements]] = {place: {} for place in users.TABLES}
    for attachment, part in users.recorded(own):
        for place, known in found.items():
            for entry in users.held(place, part, attachment):
                known.setdefault(entry, _owned([entry], attachment))
    return "".join(
        own_tables.rebuilt(users.TABLES[place], known)
        for place, known in found.items()
        if known
    )
