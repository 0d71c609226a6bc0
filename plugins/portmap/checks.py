# SPDX-License-Identifier: Apache-2.0
"""CHECK: what ADD put into the kernel is still there."""

from __future__ import annotations

from collections import Counter

from cni_common.kernel import nft
from cni_common.spec.characters import Pattern
from cni_common.spec.errors import CNIError, Code
from plugins.portmap import detach, elements, guard, ledger, localnet, rules
from plugins.portmap.claims import PROTOCOLS, Claim

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cni_common.naming import Attachment
    from plugins.portmap.claims import Port
    from plugins.portmap.elements import Elements

_RULE = Pattern(rf"^add rule {elements.TABLE} (\S+) ", multiline=True)
_BASE = Pattern(
    rf"^add chain {elements.TABLE} (\S+) "
    r"\{ type (\w+) hook (\w+) priority (-?\d+) ;",
    multiline=True,
)


def check_published(attachment: Attachment, wanted: dict[Port, list[Claim]]) -> None:
    """Raise code 999 unless `wanted`, under the conditions that its ADD had, is claimed
    and the kernel acts on it.

    A port that another interface of the same container answers is not looked up for
    this one, so its element is not expected.
    """
    held = ledger.load(wanted)
    if detach.read(attachment) is None:
        raise _missing(f"record of {attachment}")
    expected: Elements = {}
    for port, claims in wanted.items():
        own = [claim for claim in held[port] if claim.attachment == attachment]
        if len(own) != len(claims) or not all(map(Claim.is_as, own, claims)):
            raise _missing(f"claim of {attachment} on {port}")
        expected |= elements.of_claims(port, held[port])
    listed = _listed()
    scopes = ledger.scopes(
        claim
        for claims in held.values()
        for claim in claims
        if claim.attachment == attachment
    )
    _check_rules(listed, rules.declaration(sorted(scopes)))
    _check_elements(listed, expected)


def check_localnet(link: str) -> None:
    """Raise code 999 unless `link` lets answers to 127.0.0.1 pass."""
    if not localnet.is_on(link):
        raise _missing(f"sysctl net/ipv4/conf/{link}/route_localnet = 1")
    if not guard.is_whole(link):
        raise _missing(f"filter of link {link} for 127.0.0.0/8")


def _listed() -> list[dict[str, Any]]:
    try:
        return nft.list_json(f"list table {elements.TABLE}")
    except nft.RefusedError as error:
        if error.is_missing:
            raise _missing(f"table {elements.TABLE}") from error
        raise


def _check_rules(listed: list[dict[str, Any]], declared: str) -> None:
    chains = {
        item["chain"]["name"]: item["chain"] for item in listed if "chain" in item
    }
    for name, kind, hook, priority in _BASE.findall(declared):
        chain = chains.get(name, {})
        found = (chain.get("type"), chain.get("hook"), chain.get("prio"))
        if found != (kind, hook, int(priority)):
            raise _missing(f"base chain {name} ({kind}, {hook}, priority {priority})")
    present = Counter(item["rule"]["chain"] for item in listed if "rule" in item)
    for name, number in Counter(_RULE.findall(declared)).items():
        if present[name] < number:
            raise _missing(f"rule in chain {name}: {present[name]} of {number} there")


def _check_elements(listed: list[dict[str, Any]], expected: Elements) -> None:
    present = dict(_present(listed))
    for place, content in expected.items():
        key = (place.name, _numbered(place.key))
        if key not in present:
            raise _missing(f"element {place.key} of {place.name}")
        if present[key] != content.value:
            cause = f"it leads to {present[key]}, not to {content.value}"
            raise _missing(f"element {place.key} of {place.name}: {cause}")


def _present(listed: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, str], str]]:
    for item in listed:
        described = item.get("map") or item.get("set") or {}
        if "interval" in described.get("flags", []):
            continue  # the excluded addresses, which are no claim's
        for element in described.get("elem", []):
            key, value = element if "map" in item else (element, "")
            yield (described["name"], _text(key)), _text(value)


def _text(value: Any) -> str:
    """Return a key or value as nft writes it: 10.0.0.2 . 80."""
    if isinstance(value, dict) and "elem" in value:
        value = value["elem"]["val"]
    parts = value["concat"] if isinstance(value, dict) else [value]
    return " . ".join(str(part) for part in parts)


def _numbered(key: str) -> str:
    """Return a key as it is listed: without quotes, its protocol as a number.

    The protocol comes first, or after an address of the host.
    """
    words = key.replace('"', "").split(" . ")
    return " . ".join([*(PROTOCOLS.get(word, word) for word in words[:2]), *words[2:]])


def _missing(what: str) -> CNIError:
    return CNIError(Code.INTERNAL, f"check published ports: missing {what}")
