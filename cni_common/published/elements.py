# SPDX-License-Identifier: Apache-2.0
"""Claims as elements of maps and sets.

Every element's key has the port in it, so the claims on a port say all there is to
say about its elements; see docs/decisions/0010.
"""

from __future__ import annotations

from cni_common import naming
from cni_common.kernel import nft
from cni_common.kernel.own_table import Content, ElementKey
from cni_common.spec.digests import sha256_hex

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.kernel.own_table import Elements
    from cni_common.published.claims import Claim, Port, Target

TABLE = "inet cnipy_portmap"
# Sets whose elements count, families apart, as the container sees it.
COUNTED = ("received", "sent")


def scope(network: str, family: int, text: str) -> str:
    """Return 16 hexadecimal digits for a network under its conditions, or "".

    Changed conditions give another scope, so that containers keep those under which
    they were attached.
    """
    if not text:
        return ""
    return sha256_hex(f"{network}\0{family}\0{text}")[:16]


def map_name(family: int, scope_id: str, *, one_address: bool) -> str:
    """Return the name of the map for ports of one address, or of any."""
    name = f"{'hostip_ports' if one_address else 'hostports'}{family}"
    return f"{name}_{scope_id}" if scope_id else name


def of_claims(port: Port, claims: Iterable[Claim]) -> Elements:
    """Return the elements for the claims on `port`; of equal keys the first holds."""
    elements: Elements = {}
    for claim in claims:
        owner = naming.comment(claim.attachment)
        for target in claim.targets:
            at = claim.published.get(target.family)
            if at is None:
                continue
            key = _lookup(port, at, claim.network, target)
            if key in elements:
                continue
            value = f"{target.address} . {claim.container_port}"
            elements[key] = Content(value, owner)
            for more in (
                *_sources(port, claim, target),
                *_counted(port, claim, target),
            ):
                elements.setdefault(more, Content("", owner))
    return elements


def _lookup(port: Port, at: str, network: str, target: Target) -> ElementKey:
    scope_id = scope(network, target.family, target.conditions)
    key = f"{port.protocol} . {port.number}"
    name = map_name(target.family, scope_id, one_address=bool(at))
    return ElementKey(name, f"{at} . {key}" if at else key)


def _sources(port: Port, claim: Claim, target: Target) -> list[ElementKey]:
    """Return the sets that say whose packets get masqueraded on their way here."""
    key = f"{port.protocol} . {port.number} . {target.address}"
    family = target.family
    if claim.masq_all:
        return [ElementKey(f"masq_all{family}", key)]
    if not claim.snat or not target.link:
        return []
    hairpin = ElementKey(f"hairpin{family}", f"{key} . {nft.quote(target.link)}")
    localhost = ElementKey("localhost4", key)
    return [hairpin] if family == 6 else [hairpin, localhost]  # noqa: PLR2004 - the family's number


def _counted(port: Port, claim: Claim, target: Target) -> list[ElementKey]:
    """Return the elements that count what reaches the container by the port, and what
    it answers.
    """
    key = f"{port.protocol} . {port.number} . {target.address}"
    ways = COUNTED if claim.counters else ()
    return [ElementKey(f"{way}{target.family}", key) for way in ways]
