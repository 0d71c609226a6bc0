# SPDX-License-Identifier: Apache-2.0
"""Claims as elements of maps and sets, and the transactions between two states.

Every element's key has the port in it, so the claims on a port say all there is to
say about its elements; see docs/decisions/0010.
"""

from __future__ import annotations

from cni_common import naming
from cni_common.kernel import nft
from cni_common.spec.values import NamedTuple
from plugins.portmap.conditions import scope

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from plugins.portmap.claims import Claim, Port, Target

TABLE = "inet cnipy_portmap"


class Place(NamedTuple):
    """Where an element lies: name of the map or set, and key in nft's words."""

    name: str
    key: str


class Content(NamedTuple):
    """What an element has: value in nft's words, "" in a set; and whose it is."""

    value: str
    comment: str


Elements = dict[Place, Content]


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
            place = _lookup(port, at, claim.network, target)
            if place in elements:
                continue
            value = f"{target.address} . {claim.container_port}"
            elements[place] = Content(value, owner)
            for more in _sources(port, claim, target):
                elements.setdefault(more, Content("", owner))
    return elements


def _lookup(port: Port, at: str, network: str, target: Target) -> Place:
    scope_id = scope(network, target.family, target.conditions)
    key = f"{port.protocol} . {port.number}"
    name = map_name(target.family, scope_id, one_address=bool(at))
    return Place(name, f"{at} . {key}" if at else key)


def _sources(port: Port, claim: Claim, target: Target) -> list[Place]:
    """Return the sets that say whose packets get masqueraded on their way here."""
    key = f"{port.protocol} . {port.number} . {target.address}"
    family = target.family
    if claim.masq_all:
        return [Place(f"masq_all{family}", key)]
    if not claim.snat or not target.link:
        return []
    hairpin = Place(f"hairpin{family}", f"{key} . {nft.quote(target.link)}")
    localhost = Place("localhost4", key)
    return [hairpin] if family == 6 else [hairpin, localhost]  # noqa: PLR2004 - the family's number


def change(before: Elements, after: Elements) -> str:
    """Return the transaction from `before` to `after`; "" when they are equal.

    A deletion adds first what it deletes, which makes it one that absence does not
    fail; the addition is refused where the kernel has another value.
    """
    gone = {place: was for place, was in before.items() if after.get(place) != was}
    new = {place: to for place, to in after.items() if before.get(place) != to}
    keys = {place: Content("", "") for place in gone}
    return addition(gone) + _statements("delete", keys) + addition(new)


def renewal(elements: Mapping[Place, Content]) -> str:
    """Return the commands that replace elements; refused where one is absent."""
    keys = {place: Content("", "") for place in elements}
    return _statements("delete", keys) + _statements("add", elements)


def addition(elements: Mapping[Place, Content]) -> str:
    """Return the commands that add `elements`, one for each map or set."""
    return _statements("add", elements)


def _statements(verb: str, elements: Mapping[Place, Content]) -> str:
    by_name: dict[str, list[str]] = {}
    for place, content in elements.items():
        by_name.setdefault(place.name, []).append(_written(place.key, content))
    return "".join(
        f"{verb} element {TABLE} {name} {{ {', '.join(written)} }}\n"
        for name, written in by_name.items()
    )


def _written(key: str, content: Content) -> str:
    comment = f" comment {nft.quote(content.comment)}" if content.comment else ""
    value = f" : {content.value}" if content.value else ""
    return f"{key}{comment}{value}"
