# SPDX-License-Identifier: Apache-2.0
"""Addresses that are on a link of the host and are not the host's for its ports.

kube-proxy in IPVS mode has the address of every service on kube-ipvs0: a published
port must not take the service's. No rule can ask on which link an address is, so two
sets say which are not the host's own: everything else (docs/decisions/0026).
"""

from __future__ import annotations

import ipaddress

from cni_common import marks, state
from cni_common.kernel import held_addresses
from cni_common.published import ledger, rules

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any

    from cni_common.spec.fields import IPAddress, IPNetwork

USUAL = ("kube-ipvs0", "nodelocaldns")
_WHOLE: dict[int, IPNetwork] = {
    4: ipaddress.IPv4Network("0.0.0.0/0"),
    6: ipaddress.IPv6Network("::/0"),
}
_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")


def noted() -> list[str]:
    """Return the links whose addresses are not the host's."""
    return state.names(state.path(ledger.EXCLUDED))


def note(links: Collection[str]) -> None:
    """Note that the addresses of `links` are not the host's, as far as they exist."""
    for link in held_addresses.existing(links):
        marks.add(ledger.EXCLUDED, link)


def recall(listed: list[dict[str, Any]], links: Collection[str]) -> None:
    """Note `links` again, if the sets among what is `listed` exclude anything.

    The sets do not say of which links they are; others are noted by the next ADD.
    """
    sets = [item["set"] for item in listed if "set" in item]
    if any(s["name"].startswith("excluded") and s.get("elem") for s in sets):
        note(links)


def forget(kept: Collection[str] = ()) -> None:
    """Forget all links but those that are `kept`."""
    for link in noted():
        if link not in kept:
            marks.delete(ledger.EXCLUDED, link)


def content() -> str:
    """Return the commands after which the sets are right; "" when no link is noted.

    What is left is renewed by the next ADD: the host may get addresses later.
    """
    links = noted()
    if not links:
        return ""
    present = held_addresses.existing(links)
    own = held_addresses.besides(present) if present else []
    gaps = {family: _gaps(family, own) if own else () for family in _WHOLE}
    return "".join(rules.excluded(family, found) for family, found in gaps.items())


def _gaps(family: int, own: Iterable[IPAddress]) -> Iterator[str]:
    """Yield the ranges that have no address of `own`, nor of the host's loopback."""
    whole = _WHOLE[family]
    kept = [(int(a), int(a)) for a in own if a.version == family]
    if family == _LOOPBACK.version:
        kept.append((int(_LOOPBACK[0]), int(_LOOPBACK[-1])))
    start = 0
    for first, last in sorted(kept):
        if first > start:
            yield f"{whole[start]}-{whole[first - 1]}"
        start = max(start, last + 1)
    if start < whole.num_addresses:
        yield f"{whole[start]}-{whole[-1]}"
