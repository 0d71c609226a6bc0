# SPDX-License-Identifier: Apache-2.0
"""Ranges of addresses and sets of them: what may be allocated, and in which order.

Pure arithmetic. A ValueError carries the reference plugin's words as its message.
"""

from __future__ import annotations

from functools import cached_property
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_interface,
)
from itertools import combinations

from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from ipaddress import IPv4Interface, IPv6Interface

    from cni_common.spec.netconf import Pool

    IPAddress = IPv4Address | IPv6Address
    IPInterface = IPv4Interface | IPv6Interface
    IPNetwork = IPv4Network | IPv6Network

# Of a subnet, behind its prefix: its own address, a gateway, a container's, the last.
SPARE_BITS = 2


@dataclass(frozen=True)
class Range:
    """Addresses `start` to `end` of `subnet`, both included, less the `exclude`d."""

    subnet: IPNetwork
    start: IPAddress
    end: IPAddress
    gateway: IPAddress
    exclude: tuple[IPNetwork, ...] = ()

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"

    def __contains__(self, address: IPAddress) -> bool:
        return address.version == self.subnet.version and int(self.start) <= int(
            address
        ) <= int(self.end)

    def overlaps(self, other: Range) -> bool:
        """Tell whether an address lies in both ranges."""
        return (
            self.start in other
            or self.end in other
            or other.start in self
            or other.end in self
        )

    @cached_property
    def unusable(self) -> dict[int, str]:
        """Addresses no container may have, and why (RFC 919, RFC 4291 2.6.1)."""
        found = {int(self.subnet.network_address): "network address"}
        if isinstance(self.subnet, IPv4Network):
            found[int(self.subnet.broadcast_address)] = "broadcast address"
        return found


def canonical_range(
    subnet: IPInterface,
    start: IPAddress | None = None,
    end: IPAddress | None = None,
    gateway: IPAddress | None = None,
    exclude: Sequence[IPNetwork] = (),
) -> Range:
    """Return a range with start, end and gateway filled in, or raise ValueError.

    The gateway may lie outside the range and even outside the subnet, as with the
    reference. `end` may be the broadcast address (Podman writes that), which is not
    allocated for all that.
    """
    network = subnet.network
    if subnet.ip != network.network_address:
        msg = "Network has host bits set. For a subnet mask of length"
        raise ValueError(
            f"{msg} {network.prefixlen} the network address is {network[0]}"
        )
    if network.prefixlen > network.max_prefixlen - SPARE_BITS:
        raise ValueError(f"Network {network} too small to allocate from")
    for address in (gateway, *exclude):
        if address is not None and address.version != network.version:
            raise ValueError(
                f"IP {address} is not the same protocol as subnet {network}"
            )
    first = network[1] if start is None else start
    if first not in network:
        raise ValueError(f"RangeStart {first} not in network {network}")
    last = end
    if last is None:
        last = network[-2] if isinstance(network, IPv4Network) else network[-1]
    if last not in network:
        raise ValueError(f"RangeEnd {last} not in network {network}")
    if int(first) > int(last):
        raise ValueError(
            f"RangeStart {first} not in network {network}: it is after RangeEnd {last}"
        )
    return Range(network, first, last, gateway or network[1], tuple(exclude))


def of_block(block: IPNetwork, exclude: Iterable[IPNetwork] = ()) -> Range:
    """Return a block as a range whose gateway is the block's first address.

    Of `exclude` what is of its family counts. Raises ValueError for one too small.
    """
    own = [each for each in exclude if each.version == block.version]
    return canonical_range(ip_interface(block), exclude=own)


@dataclass(frozen=True)
class RangeSet:
    """A pool that one address of the attachment comes from."""

    ranges: tuple[Range, ...]

    def __str__(self) -> str:
        return ",".join(str(item) for item in self.ranges)

    def __contains__(self, address: IPAddress) -> bool:
        return self.range_of(address) is not None

    @property
    def version(self) -> int:
        """Address family of the set: 4 or 6."""
        return self.ranges[0].subnet.version

    def range_of(self, address: IPAddress) -> Range | None:
        """Return the range that `address` lies in, if any does."""
        return next((item for item in self.ranges if address in item), None)

    def overlaps(self, other: RangeSet) -> bool:
        """Tell whether an address lies in both sets."""
        return any(a.overlaps(b) for a in self.ranges for b in other.ranges)

    def refusal(self, address: IPAddress) -> str:
        """Return why `address` must not be allocated on request; empty if it may be."""
        found = self.range_of(address)
        if found is None:
            return f"{address} not in range set {self}"
        if any(address == item.gateway for item in self.ranges):
            return f"requested ip {address} is subnet's gateway"
        if int(address) in found.unusable:
            return f"requested ip {address} is subnet's {found.unusable[int(address)]}"
        if any(address in network for network in found.exclude):
            return f"requested ip {address} is excluded"
        return ""

    @property
    def size(self) -> int:
        """Number of addresses that can be allocated."""
        return sum(last - first + 1 for _, first, last in self._spans)

    def candidates(self, after: IPAddress | None) -> Iterator[IPAddress]:
        """Yield every address that can be allocated once, in round robin order.

        It starts behind `after` if that lies in the set, else at the beginning.
        """
        start = after and self.range_of(after)
        make = type(self.ranges[0].start)
        spans = self._spans
        if start and after:
            position = (self.ranges.index(start), int(after) + 1)
            spans = _rotated(spans, position)
        for _, first, last in spans:
            for number in range(first, last + 1):
                yield make(number)

    @cached_property
    def _spans(self) -> list[tuple[int, int, int]]:
        """(index of range, first, last) of each run of addresses, in order."""
        gateways = [int(item.gateway) for item in self.ranges]
        spans = []
        for index, item in enumerate(self.ranges):
            holes = [(number, number) for number in (*gateways, *item.unusable)]
            holes += [(int(net[0]), int(net[-1])) for net in item.exclude]
            first = int(item.start)
            for low, high in sorted(holes):
                if low > int(item.end):
                    break
                if low > first:
                    spans.append((index, first, low - 1))
                first = max(first, high + 1)
            if first <= int(item.end):
                spans.append((index, first, int(item.end)))
        return spans


def _rotated(
    spans: list[tuple[int, int, int]], position: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """Return the spans beginning at `position`, with what lies before it at the end."""
    at, number = position
    before, behind = [], []
    for index, first, last in spans:
        if (index, last) < position:
            before.append((index, first, last))
        elif (index, first) >= position:
            behind.append((index, first, last))
        else:
            before.append((at, first, number - 1))
            behind.append((at, number, last))
    return behind + before


def range_set(ranges: Sequence[Range]) -> RangeSet:
    """Return the ranges as a set: one address family, no overlap; else ValueError."""
    if not ranges:
        raise ValueError("empty range set")
    if len({item.subnet.version for item in ranges}) > 1:
        raise ValueError("mixed address families")
    for one, other in combinations(ranges, 2):
        if one.overlaps(other):
            raise ValueError(f"subnets {one} and {other} overlap")
    return RangeSet(tuple(ranges))


def refuse_overlap(sets: Sequence[RangeSet]) -> None:
    """Raise ValueError if an address lies in two of the sets."""
    for (i, one), (j, other) in combinations(enumerate(sets), 2):
        if one.overlaps(other):
            raise ValueError(f"range set {i} overlaps with {j}")


def pools(sets: Iterable[RangeSet]) -> list[Pool]:
    """Return the ranges of the sets as `NetConf.pools` has them."""
    every = (each for one in sets for each in one.ranges)
    return [(each.subnet, each.start, each.end, each.gateway) for each in every]
