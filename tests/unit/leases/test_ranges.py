# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of ranges, against a plain enumeration of the subnet."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_common.leases.ranges import (
    Range,
    RangeSet,
    canonical_range,
    range_set,
    refuse_overlap,
)

BASES = ("10.1.2.0", "192.168.255.240", "fd00::", "2001:db8:0:1:ffff:ffff:ffff:fff0")


def make(subnet: str, **given_: Any) -> Range:
    keys = {key: ip_address(given_[key]) for key in given_ if key != "exclude"}
    exclude = [ip_network(item) for item in given_.get("exclude", ())]
    return canonical_range(ip_interface(subnet), exclude=exclude, **keys)


@st.composite
def small_ranges(draw: st.DrawFn, subnet: Any) -> Range:
    """A range somewhere in a subnet of 16 addresses, with holes."""
    inside = st.integers(0, 15).map(lambda n: subnet[n])
    maybe = st.none() | inside
    start, end = draw(maybe), draw(maybe)
    if start is not None and end is not None and start > end:
        start, end = end, start
    lengths = st.integers(subnet.max_prefixlen - 2, subnet.max_prefixlen)
    holes = st.tuples(inside, lengths).map(lambda p: ip_network(p, strict=False))
    if start == subnet[-1]:
        end = subnet[-1]
    if end == subnet[0]:
        start = subnet[0]
    interface = ip_interface((subnet[0], subnet.prefixlen))
    return canonical_range(
        interface, start, end, draw(maybe), draw(st.lists(holes, max_size=3))
    )


@st.composite
def small_sets(draw: st.DrawFn) -> RangeSet:
    """One or two ranges of one family."""
    base = ip_address(draw(st.sampled_from(BASES)))
    length = base.max_prefixlen - 4
    first = ip_network((base, length))
    ranges = [draw(small_ranges(first))]
    if draw(st.booleans()):
        other = ip_network((int(base) ^ 0x100, length))
        if base.version == 6:
            other = ip_network((ip_address(int(base) ^ 0x100), length))
        ranges.append(draw(small_ranges(other)))
    return range_set(ranges)


def allocatable(pool: RangeSet) -> list[Any]:
    """Enumerate what may be allocated, the slow and obvious way."""
    gateways = {item.gateway for item in pool.ranges}
    found = []
    for item in pool.ranges:
        for address in item.subnet:
            is_broadcast = address.version == 4 and address == item.subnet[-1]
            if (
                item.start <= address <= item.end
                and address not in gateways
                and address != item.subnet[0]
                and not is_broadcast
                and not any(address in hole for hole in item.exclude)
            ):
                found.append(address)
    return found


@given(small_sets())
def test_candidates_are_what_may_be_allocated(pool: RangeSet) -> None:
    """Every usable address comes once, and no gateway, network or excluded one."""
    assert list(pool.candidates(None)) == allocatable(pool)
    assert pool.size == len(allocatable(pool))


@given(small_sets(), st.data())
def test_round_robin_visits_all_before_it_repeats(
    pool: RangeSet, data: st.DataObject
) -> None:
    """After an address come those behind it, then the rest, and it comes last."""
    members = [a for item in pool.ranges for a in item.subnet if a in item]
    last = data.draw(st.sampled_from(members))
    usable = set(allocatable(pool))
    at = members.index(last) + 1
    expected = [a for a in members[at:] + members[:at] if a in usable]
    assert list(pool.candidates(last)) == expected


@given(small_sets(), st.data())
def test_requests_are_refused_for_what_is_no_candidate(
    pool: RangeSet, data: st.DataObject
) -> None:
    """An address may be requested exactly if it may be allocated."""
    subnet = data.draw(st.sampled_from(pool.ranges)).subnet
    address = subnet[data.draw(st.integers(0, 15))]
    assert (not pool.refusal(address)) == (address in set(allocatable(pool)))


@given(small_sets())
def test_last_reserved_of_another_set_starts_over(pool: RangeSet) -> None:
    """An address that is in no range makes the round start at the beginning."""
    strange = ip_address("172.31.0.1")
    assert list(pool.candidates(strange)) == allocatable(pool)


def test_large_exclusions_are_not_walked_through() -> None:
    """Half of an IPv6 subnet can be excluded with no wait for the next one."""
    pool = range_set([make("fd00::/64", exclude=["fd00::/65"])])
    found = [str(a) for a in islice(pool.candidates(None), 2)]
    assert found == ["fd00::8000:0:0:0", "fd00::8000:0:0:1"]
    assert pool.size == 2**63


@pytest.mark.parametrize(
    ("subnet", "start", "end", "gateway"),
    [
        ("10.1.2.0/24", "10.1.2.1", "10.1.2.254", "10.1.2.1"),
        ("10.1.2.0/30", "10.1.2.1", "10.1.2.2", "10.1.2.1"),
        ("fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff", "fd00::1"),
        ("fd00::/126", "fd00::1", "fd00::3", "fd00::1"),
    ],
)
def test_defaults_follow_from_the_subnet(
    subnet: str, start: str, end: str, gateway: str
) -> None:
    """Start and gateway are the first address, the end excludes an IPv4 broadcast."""
    found = make(subnet)
    assert (str(found.start), str(found.end)) == (start, end)
    assert str(found.gateway) == gateway


def test_broadcast_as_range_end_is_accepted_and_not_allocated() -> None:
    """Podman writes the broadcast address as rangeEnd of a macvlan network."""
    pool = range_set([make("10.99.0.0/24", start="10.99.0.253", end="10.99.0.255")])
    assert [str(a) for a in pool.candidates(None)] == ["10.99.0.253", "10.99.0.254"]


def test_gateway_may_lie_outside_the_range_and_the_subnet() -> None:
    """A gateway elsewhere takes no address away."""
    pool = range_set([make("10.1.2.0/30", gateway="10.9.9.9")])
    assert [str(a) for a in pool.candidates(None)] == ["10.1.2.1", "10.1.2.2"]


def test_gateway_of_one_range_is_skipped_in_every_range_of_the_set() -> None:
    """Two ranges of one subnet with different gateways allocate neither."""
    low = make("10.1.2.0/29", end="10.1.2.3", gateway="10.1.2.5")
    high = make("10.1.2.0/29", start="10.1.2.4", gateway="10.1.2.2")
    found = [str(a) for a in range_set([low, high]).candidates(None)]
    assert found == ["10.1.2.1", "10.1.2.3", "10.1.2.4", "10.1.2.6"]


@pytest.mark.parametrize(
    ("subnet", "keys", "message"),
    [
        (
            "10.1.2.3/24",
            {},
            (
                "Network has host bits set. For a subnet mask of length 24"
                " the network address is 10.1.2.0"
            ),
        ),
        ("10.1.2.0/31", {}, "Network 10.1.2.0/31 too small to allocate from"),
        ("10.1.2.0/32", {}, "Network 10.1.2.0/32 too small to allocate from"),
        ("fd00::/127", {}, "Network fd00::/127 too small to allocate from"),
        (
            "10.1.2.0/24",
            {"start": "10.1.3.1"},
            "RangeStart 10.1.3.1 not in network 10.1.2.0/24",
        ),
        (
            "10.1.2.0/24",
            {"end": "10.1.3.1"},
            "RangeEnd 10.1.3.1 not in network 10.1.2.0/24",
        ),
        (
            "10.1.2.0/24",
            {"start": "10.1.2.9", "end": "10.1.2.5"},
            "RangeStart 10.1.2.9",
        ),
        ("10.1.2.0/24", {"start": "fd00::1"}, "RangeStart fd00::1 not in network"),
        ("10.1.2.0/24", {"gateway": "fd00::1"}, "IP fd00::1 is not the same protocol"),
        (
            "10.1.2.0/24",
            {"exclude": ["fd00::/96"]},
            "IP fd00::/96 is not the same protocol as subnet 10.1.2.0/24",
        ),
    ],
)
def test_impossible_ranges_are_refused(
    subnet: str, keys: dict[str, Any], message: str
) -> None:
    """The cause is in the reference's words."""
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        make(subnet, **keys)


def test_sets_of_mixed_families_are_refused() -> None:
    """A set gives one address, so that it has one family."""
    with pytest.raises(ValueError, match="mixed address families"):
        range_set([make("10.1.2.0/24"), make("fd00::/64")])


def test_empty_sets_are_refused() -> None:
    """A set without a range could never give an address."""
    with pytest.raises(ValueError, match="empty range set"):
        range_set([])


def test_overlaps_are_refused() -> None:
    """No address lies in two ranges of a set, nor in two sets."""
    wide, narrow = make("10.1.0.0/16"), make("10.1.2.0/24")
    with pytest.raises(
        ValueError,
        match=r"subnets 10\.1\.0\.1-.* and 10\.1\.2\.1-.* overlap",
    ):
        range_set([wide, narrow])
    sets = [range_set([make("fd00::/64")]), range_set([wide]), range_set([narrow])]
    with pytest.raises(ValueError, match="range set 1 overlaps with 2"):
        refuse_overlap(sets)
