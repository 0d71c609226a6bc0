# SPDX-License-Identifier: Apache-2.0
"""The backend nftables: addresses, links and ports as elements of two own tables."""

from __future__ import annotations

from cni_common import own_tables
from cni_common.kernel import nft
from cni_common.spec.errors import CNIError, Code
from plugins.firewall import holders, protection, rules
from plugins.firewall.holders import INET, PORTS

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any

    from cni_common.naming import Attachment
    from plugins.firewall.protection import Protection
    from plugins.firewall.rules import Element


def admit(wanted: Protection, attachment: Attachment, *, again: bool) -> None:
    """Have the elements of `wanted` in the kernel.

    If somebody removed rules since, or elements of what is attached `again`, all that
    is recorded comes back.
    """
    entries, ports = rules.of_protection(wanted), rules.of_ports(wanted)
    if not entries and not ports:
        return
    # An address that had another holder gets its new owner's comment.
    passed = set(entries) - set(holders.unneeded(INET, entries, attachment))
    renewed = [entry for entry in passed if entry.startswith("address ")]
    holders.add(INET, entries, attachment)
    holders.add(PORTS, ports, attachment)
    added = rules.elements((*entries, *ports), attachment)
    if again:
        transaction = rules.renewal(added)
    else:
        old = rules.elements(renewed, attachment)
        transaction = rules.removal(old) + rules.addition(added)
    own_tables.change(transaction, _declared(entries, ports), _rebuilt)


def _declared(entries: Collection[str], ports: Collection[str]) -> dict[str, str]:
    """Return the tables that entries need, each with what declares it."""
    inet = {rules.TABLE: rules.declaration()} if entries else {}
    bridge = {rules.PORTS_TABLE: rules.ports_declaration()} if ports else {}
    return inet | bridge


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
        is_needed = rules.TABLE in rebuilt
        if not is_needed and _administrators():
            rebuilt, is_needed = rebuilt + rules.declaration(), True
        nft.run(rebuilt)
        if is_needed:
            own_tables.remember(rules.TABLE)
        else:
            own_tables.remove(rules.TABLE)


def withdraw(had: Protection, attachment: Attachment) -> None:
    """Have no element in the kernel that nobody but `attachment` needed.

    With the last one the tables go, the administrator's chain only if it is empty.
    """
    entries, ports = rules.of_protection(had), rules.of_ports(had)
    unneeded = holders.unneeded(INET, entries, attachment)
    alone = holders.unneeded(PORTS, ports, attachment)
    if unneeded:
        _remove(unneeded, attachment, last=holders.is_last(INET, unneeded))
    if alone:
        _remove_ports(alone, attachment, last=holders.is_last(PORTS, alone))
    holders.delete(INET, entries, attachment)
    holders.delete(PORTS, ports, attachment)


def check(had: Protection, attachment: Attachment) -> None:
    """Raise code 999 naming the first rule or element that is missing."""
    entries, ports = rules.of_protection(had), rules.of_ports(had)
    for table, wanted in ((rules.TABLE, entries), (rules.PORTS_TABLE, ports)):
        if wanted:
            listed = _listed(table)
            _check_rules(table, listed)
            _check_elements(listed, rules.elements(wanted, attachment))


def _remove(entries: Iterable[str], attachment: Attachment, *, last: bool) -> None:
    if last and not _administrators():
        own_tables.remove(rules.TABLE)
        return
    _remove_elements(entries, attachment)
    if last:
        own_tables.forget(rules.TABLE)


def _administrators() -> bool:
    """Tell whether the administrator's chain has rules; asked for the last one only.

    The kernel itself deletes a chain together with its rules.
    """
    try:
        listed = nft.list_json(f"list chain {rules.TABLE} {rules.ADMIN}")
    except nft.RefusedError as refused:
        if not refused.is_missing:
            raise
        return False
    return any("rule" in item for item in listed)


def _remove_ports(
    entries: Iterable[str], attachment: Attachment, *, last: bool
) -> None:
    if last:
        own_tables.remove(rules.PORTS_TABLE)
    else:
        _remove_elements(entries, attachment)


def _remove_elements(entries: Iterable[str], attachment: Attachment) -> None:
    try:
        nft.run(rules.removal(rules.elements(entries, attachment)))
    except nft.RefusedError as refused:
        if not refused.is_missing:
            raise
        restored = _rebuilt(without=attachment)
        if restored:
            nft.run(restored)


def _rebuilt(without: Attachment | None = None) -> str:
    """Return the transaction that makes the tables anew with all that is recorded."""
    inet: list[Element] = []
    ports: list[Element] = []
    for attachment, had in protection.recorded():
        if attachment == without:
            continue
        inet += rules.elements(rules.of_protection(had), attachment)
        ports += rules.elements(rules.of_ports(had), attachment)
    text = ""
    if inet:
        text += rules.declaration() + rules.addition(inet)
    if ports:
        text += rules.ports_declaration() + rules.addition(ports)
    return text


def _listed(table: str) -> list[dict[str, Any]]:
    try:
        return nft.list_json(f"list table {table}")
    except nft.RefusedError as error:
        if error.is_missing:
            raise _missing(f"table {table}") from error
        raise


def _check_rules(table: str, listed: list[dict[str, Any]]) -> None:
    base = [item["chain"] for item in listed if "chain" in item]
    if not any(chain.get("hook") == "forward" for chain in base):
        raise _missing(f"base chain forward of table {table}")
    present = [item["rule"]["chain"] for item in listed if "rule" in item]
    for (place, chain), number in rules.expected_rules().items():
        if place == table and present.count(chain) < number:
            there = f"{present.count(chain)} of {number} there"
            raise _missing(f"rule in chain {chain} of table {table}: {there}")


def _check_elements(listed: list[dict[str, Any]], expected: list[Element]) -> None:
    present = set(_present(listed))
    for element in expected:
        key = element.key.replace('"', "")
        if (element.set, key) not in present:
            place = f"set {element.set} of table {element.table}"
            raise _missing(f"element {key} in {place}")


def _present(listed: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for item in listed:
        described = item.get("set") or {}
        for element in described.get("elem", []):
            yield described["name"], _text(element)


def _text(element: Any) -> str:
    """Return an element's key as nft writes it: br0 . br0."""
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"]["val"]
    parts = element["concat"] if isinstance(element, dict) else [element]
    return " . ".join(str(part) for part in parts)


def _missing(what: str) -> CNIError:
    return CNIError(Code.INTERNAL, f"check firewall: missing {what}")
