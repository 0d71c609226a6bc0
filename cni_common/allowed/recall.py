# SPDX-License-Identifier: Apache-2.0
"""Records that were lost, read back from the elements in the kernel.

An address says whose it is. A link that is guarded does not; it is held for those
whose addresses the host reaches by it, and so are pools and overlay of that link.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from cni_common import naming, own_tables
from cni_common.allowed import rules, users
from cni_common.attachment import record
from cni_common.attachment.record import Record
from cni_common.kernel import nft, route_get
from cni_common.parts.allowed import Allowed
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass, field

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cni_common.spec.fields import IPAddress


# Sets that tell of links, and not of whom they were guarded for.
_OF_LINKS = ("guarded", "within", "isolated", "members4", "members6")


@dataclass
class _Found:
    """What the tables tell of one attachment."""

    addresses: list[IPAddress] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)


def recall() -> None:
    """Write a record for each attachment that an element says it is of."""
    found: dict[str, _Found] = {}
    listed = _listed(rules.TABLE)
    for name in ("containers4", "containers6"):
        for element in own_tables.elements(listed, name):
            one = found.setdefault(element.comment, _Found())
            one.addresses.append(ip_address(element.key[0]))
    for element in own_tables.elements(_listed(rules.PORTS_TABLE), "isolated"):
        found.setdefault(element.comment, _Found()).ports.append(element.key[0])
    known = {name: _keys(listed, name) for name in _OF_LINKS}
    for comment, one in found.items():
        if comment:
            _write(comment, _allowed(one, known))
    for table in (rules.TABLE, rules.PORTS_TABLE):
        if found and own_tables.is_lost(table):
            own_tables.remember(table)


def _listed(table: str) -> list[dict[str, object]]:
    return nft.list_json(f"list table {table}") if own_tables.is_lost(table) else []


def _keys(listed: list[dict[str, object]], name: str) -> set[tuple[str, ...]]:
    return {element.key for element in own_tables.elements(listed, name)}


def _allowed(found: _Found, known: Mapping[str, set[tuple[str, ...]]]) -> Allowed:
    towards = {link for address in found.addresses for link in _links(address)}
    links = tuple(sorted(link for link in towards if (link,) in known["guarded"]))
    pairs = {(link, link) for link in links}
    members = {*known["members4"], *known["members6"]}
    joined = {to for link, to in known["within"] if link in links and to not in links}
    return Allowed(
        addresses=tuple(found.addresses),
        guarded=links,
        isolated=bool(found.ports or pairs & known["isolated"]),
        ports=tuple(found.ports),
        pools=tuple(sorted({ip_network(p) for x, p in members if x in links}, key=str)),
        overlay=min(joined, default=""),
    )


def _links(address: IPAddress) -> list[str]:
    try:
        return [route_get.link_towards(address)]
    except CNIError:  # there is no route by now
        return []


def _write(comment: str, part: Allowed) -> None:
    owner = naming.of_comment(comment)
    if record.read_parts(users.NAME, owner) is None:
        made = Record(parts=(part,), complete=True)
        record.write(users.NAME, owner, made)
    users.add(rules.INET, rules.routed(part, filtered=False), owner)
    users.add(rules.PORTS, rules.entries(rules.PORTS, part), owner)
