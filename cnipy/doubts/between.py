# SPDX-License-Identifier: Apache-2.0
"""What networks of one host take from each other: names, subnets, bridges, VLANs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.spec.values import dataclass
from cnipy.doubts.doubt import WARNING, Doubt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cni_common.spec.fields import IPNetwork
    from cni_common.spec.netconf import Pool
    from cnipy.doubts.entries import Entry
    from cnipy.suite import Suite

# By the network's end of whose links containers are neighbours.
_ON_MASTER = frozenset({"macvlan", "ipvlan", "vlan"})


@dataclass(frozen=True)
class Member:
    """A network of a host, and the file that it is from."""

    name: str
    file: str
    entries: Sequence[Entry]


@dataclass(frozen=True)
class _Segment:
    """The link on which a network's containers are neighbours, and their pools.

    `link` is empty where each container has one of its own.
    """

    of: Member
    entry: Entry
    link: tuple[str, object]
    pools: Sequence[Pool]
    routed: bool  # by the host

    def is_one_with(self, other: _Segment) -> bool:
        """Tell whether containers of both are neighbours."""
        return self.link == other.link and self.link[0] != ""


def of_files(suite: Suite, one: Member, before: Sequence[Member]) -> Iterator[Doubt]:
    """Yield what `one` takes from a network `before` it, in the order of files."""
    for other in before:
        if other.name == one.name:
            text = f"{one.name} is the network of {other.file}, too: one of both counts"
            yield Doubt(WARNING, text, ("name",))
            continue
        for mine in _segments(suite, one):
            for theirs in _segments(suite, other):
                yield from _shared(mine, theirs)


def routed_twice(
    suite: Suite, one: Member, other: Member
) -> Iterator[tuple[IPNetwork, IPNetwork]]:
    """Yield subnets that the host routes to `one`, with those of `other` beside."""
    for mine in _segments(suite, one):
        for theirs in _segments(suite, other):
            for pool in mine.pools:
                for taken in theirs.pools:
                    if _contend(mine, theirs, pool, taken):
                        yield pool[0], taken[0]


def _segments(suite: Suite, network: Member) -> Iterator[_Segment]:
    for entry in network.entries:
        if not entry.makes_link:
            continue
        pools: Sequence[Pool] = ()
        if entry.ipam in suite.names:
            pools = suite.read(entry.ipam, entry.whole).pools()
        conf: Any = entry.conf
        link: tuple[str, object] = ("", 0)
        routed = entry.kind == "ptp"
        if entry.kind == "bridge":
            link, routed = (f"bridge {conf.bridge}", conf.vlan), conf.gateway
        elif entry.kind in _ON_MASTER:
            link = (f"master {conf.master}", getattr(conf, "vlan_id", 0))
        yield _Segment(network, entry, link, pools, routed)


def _shared(mine: _Segment, theirs: _Segment) -> Iterator[Doubt]:
    same = mine.is_one_with(theirs)
    if same and mine.entry.kind == theirs.entry.kind == "vlan":
        text = f"VLAN {mine.link[1]} of a link is there once, and is that of"
        yield _doubt(mine, theirs, text, "vlanId")
    for pool in mine.pools:
        for other in theirs.pools:
            if pool[0].version != other[0].version:
                continue
            if same and _meet(pool, other):
                text = f"addresses {pool[1]} to {pool[2]} are given on the same link by"
                yield _doubt(mine, theirs, text, "ipam")
            elif _contend(mine, theirs, pool, other):
                text = f"subnet {pool[0]} overlaps with {other[0]} of"
                yield _doubt(mine, theirs, text, "ipam")
            if same and _quarrel(mine, theirs, pool, other):
                text = f"without forceAddress the bridge takes no gateway {pool[3]}"
                text += f" beside {other[3]} of"
                yield _doubt(mine, theirs, text, "ipam")


def _doubt(mine: _Segment, theirs: _Segment, text: str, key: str) -> Doubt:
    whole = f"{text} network {theirs.of.name} in {theirs.of.file}"
    return Doubt(WARNING, f"{mine.entry.kind}: {whole}", (*mine.entry.path, key))


def _overlap(one: Pool, other: Pool) -> bool:
    return one[0].version == other[0].version and one[0].overlaps(other[0])


def _contend(mine: _Segment, theirs: _Segment, pool: Pool, other: Pool) -> bool:
    """Tell whether the host has one subnet on two links."""
    apart = not mine.is_one_with(theirs)
    return apart and mine.routed and theirs.routed and _overlap(pool, other)


def _meet(one: Pool, other: Pool) -> bool:
    """Tell whether an address is given by both."""
    return int(one[1]) <= int(other[2]) and int(other[1]) <= int(one[2])


def _quarrel(mine: _Segment, theirs: _Segment, pool: Pool, other: Pool) -> bool:
    """Tell whether a bridge cannot have the gateways of both."""
    if not (mine.routed and theirs.routed and mine.link[0].startswith("bridge ")):
        return False
    forced = any(
        getattr(each.entry.conf, "force_address", False) for each in (mine, theirs)
    )
    beside = all(
        getattr(each.entry.conf, "gateway_per_subnet", False) for each in (mine, theirs)
    )
    known = pool[3] is not None and other[3] is not None
    differ = known and (pool[3], pool[0]) != (other[3], other[0])
    alone = (pool[0].version == 4 and not beside) or _overlap(pool, other)  # noqa: PLR2004 - IPv4
    return differ and alone and not forced
