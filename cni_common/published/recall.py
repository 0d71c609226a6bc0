# SPDX-License-Identifier: Apache-2.0
"""Claims that were lost, read back from the elements in the kernel.

An element says where a port leads and whose it is. It does not tell the holder's
network namespace; such a holder counts as living until DEL or GC names it.
"""

from __future__ import annotations

from cni_common import marks, naming, own_tables
from cni_common.attachment import record, shared
from cni_common.attachment.record import Record
from cni_common.kernel import nft
from cni_common.kernel.element_bytes import PROTOCOLS
from cni_common.parts.published_ports import PublishedPorts
from cni_common.published import excluded, guard, ledger, localnet, rules
from cni_common.published.claims import Claim, Port, Target
from cni_common.published.elements import COUNTED, TABLE
from cni_common.spec.characters import Pattern
from cni_common.spec.values import dataclass, field

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.naming import Attachment
    from cni_common.own_tables import Listed
    from cni_common.published.ledger import Claims

_MAP = Pattern(r"(hostports|hostip_ports)([46])(?:_([0-9a-f]{16}))?")
_NAMES = {str(number): name for name, number in PROTOCOLS.items()}
_CONDITIONS = Pattern(r"fib daddr type local (.*) jump conditioned")

Key = tuple[str, Port, str, int]


@dataclass
class _Found:
    """What the table tells: links and masquerading of ports, and who is published."""

    hairpins: dict[tuple[str, ...], str] = field(default_factory=dict)
    masqueraded: set[tuple[str, ...]] = field(default_factory=set)
    counted: set[tuple[str, ...]] = field(default_factory=set)
    targets: dict[Key, list[Target]] = field(default_factory=dict)
    families: set[tuple[str, int]] = field(default_factory=set)


def recall() -> None:
    """Write a claim and a record for each published port that says whose it is."""
    listed = nft.list_json(f"list table {TABLE}")
    excluded.recall(listed, excluded.USUAL)
    found = _Found()
    for family in (4, 6):
        for element in own_tables.elements(listed, f"hairpin{family}"):
            found.hairpins[element.key[:3]] = element.key[3]
        every = own_tables.elements(listed, f"masq_all{family}")
        found.masqueraded |= {element.key for element in every}
        every = own_tables.elements(listed, f"{COUNTED[0]}{family}")
        found.counted |= {element.key for element in every}
    for name in (item["map"]["name"] for item in listed if "map" in item):
        _add_targets(found, name, own_tables.elements(listed, name))
    held: dict[Port, list[Claim]] = {}
    for key, targets in found.targets.items():
        held.setdefault(key[1], []).append(_claim(found, key, targets))
    _write(held)
    own_tables.remember(TABLE)


def _add_targets(found: _Found, name: str, elements: Iterable[Listed]) -> None:
    matched = _MAP.fullmatch(name)
    if matched is None:
        return
    kind, family, scope_id = matched.groups()
    conditions = _conditions(family, scope_id) if scope_id else ""
    for element in elements:
        at = element.key[0] if kind == "hostip_ports" else ""
        protocol, number = element.key[-2:]
        address, container_port = element.value
        link = found.hairpins.get((protocol, number, address), "")
        port = Port(_NAMES.get(protocol, protocol), int(number))
        if element.comment:
            key = (element.comment, port, at, int(container_port))
            target = Target(address, link, conditions)
            found.targets.setdefault(key, []).append(target)
            found.families.add((element.comment, target.family))


def _conditions(family: str, scope_id: str) -> str:
    """Return a network's conditions as nft prints them, which it reads as well."""
    chain = f"conditioned{family}_{scope_id}_prerouting"
    matched = _CONDITIONS.search(nft.list_text(f"list chain {TABLE} {chain}"))
    return matched[1] if matched else ""


def _claim(found: _Found, key: Key, targets: list[Target]) -> Claim:
    comment, port, at, container_port = key
    owner = naming.of_comment(comment)
    number = str(PROTOCOLS[port.protocol])
    if not at and len(targets) < sum(who == comment for who, _ in found.families):
        at = "0.0.0.0" if targets[0].family == 4 else "::"  # noqa: PLR2004, S104 - the family's number, an address of any
    keys = {(number, str(port.number), target.address) for target in targets}
    return Claim(
        host_ip=at,
        network=owner.network,
        container_id=owner.container_id,
        ifname=owner.ifname,
        netns="",
        identity="",
        container_port=container_port,
        targets=tuple(targets),
        snat=any(target.link for target in targets),
        masq_all=bool(keys & found.masqueraded),
        counters=bool(keys & found.counted),
    )


def _write(held: Claims) -> None:
    present, recorded = ledger.load(held), _recorded()
    owners: dict[Attachment, Claims] = {}
    for port, claims in held.items():
        known = {naming.comment(claim.attachment) for claim in present[port]}
        lost: list[Claim] = []
        for claim in claims:
            comment = naming.comment(claim.attachment)
            if comment in known:
                continue
            told = recorded.get(comment, {}).get(port)
            if told:
                known.add(comment)
                lost += told
                continue
            lost.append(claim)
            own = owners.setdefault(claim.attachment, {})
            own.setdefault(port, []).append(claim)
        ledger.write_down({port: present[port]}, {port: present[port] + lost}, {port})
    if any(rules.scopes(claims) for own in owners.values() for claims in own.values()):
        # As nft prints them they have another digest; the table is to be made anew.
        marks.add(ledger.UNFINISHED, "change")
    for owner, claims_of in owners.items():
        part = PublishedPorts.of_claims(claims_of)
        for link in part.links:
            _require(link, owner)
        if naming.comment(owner) not in recorded:
            record.write(ledger.NAME, owner, Record(parts=(part,), complete=True))


def _recorded() -> dict[str, Claims]:
    """Return what the records that are there claim, by the comments of elements."""
    return {
        naming.comment(owner): part.claims_of(owner, found.netns, found.netns_identity)
        for owner, found in record.of_plugin(ledger.NAME)
        for part in found.parts
        if isinstance(part, PublishedPorts)
    }


def hold_link(link: str, but: Attachment) -> bool:
    """Hold `link` for all whose records name it; tell whether there are any.

    That of `but` does not count.
    """
    found = [
        owner
        for owner, other in record.others(ledger.NAME, but)
        for part in other.parts
        if isinstance(part, PublishedPorts) and link in part.links
    ]
    for owner in found:
        shared.hold(f"{localnet.USERS}/{link}", owner.digest())
    return bool(found)


def _require(link: str, owner: Attachment) -> None:
    """Record who needs route_localnet, and that its filter is ours."""
    if localnet.is_on(link):
        shared.hold(f"{localnet.USERS}/{link}", owner.digest())
        guard.note_present(link)
