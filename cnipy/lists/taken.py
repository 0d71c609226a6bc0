# SPDX-License-Identifier: Apache-2.0
"""Which subnets and bridges of the node somebody has already, and who."""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING, Any

from cni_common.kernel import addresses, links, routes
from cni_common.kernel.netlink import Netlink
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple
from cnipy import network as networks
from cnipy.doubts import between
from cnipy.doubts.entries import entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cni_common.kernel.link_answer import Link
    from cni_common.spec.fields import IPNetwork
    from cnipy.suite import Suite

# As Podman's, then what Docker takes, then what is left of RFC 1918.
_POOLS = (
    ("10.89.0.0", "10.255.255.0"),
    ("172.17.0.0", "172.31.255.0"),
    ("192.168.0.0", "192.168.255.0"),
)
_STEP = 256
_EVERYTHING = 1  # a default route, and one that is split in halves to go before it
_LOCAL_TABLE = 255  # it repeats what addresses say


class Taken(NamedTuple):
    """A subnet, and who has it; `is_routed` if the host only routes there."""

    subnet: IPNetwork
    who: str
    is_routed: bool = False


def members(suite: Suite, directory: str) -> list[between.Member]:
    """Return the networks of a directory, without files that hold none."""
    found = []
    for name, file in networks.listed(directory):
        single = file.endswith(networks.SINGLE)
        try:
            network = networks.read_single(file) if single else networks.read(file)
        except CNIError:
            continue
        listed = entries(suite, network)
        found.append(between.Member(name, file, listed))
    return found


def bridges(members: Iterable[between.Member]) -> Iterator[tuple[str, between.Member]]:
    """Yield each bridge that a list names, with the network."""
    for member in members:
        for entry in member.entries:
            conf: Any = entry.conf
            if entry.kind == "bridge" and entry.is_ours:
                yield conf.bridge, member


def by_lists(suite: Suite, members: Iterable[between.Member]) -> list[Taken]:
    """Return the subnets of lists."""
    found = []
    for member in members:
        who = f"network {member.name} in {member.file} has"
        for entry in member.entries:
            if entry.ipam in suite.names:
                pools = suite.read(entry.ipam, entry.whole).pools()
                found += [Taken(pool[0], f"{who} {pool[0]}") for pool in pools]
    return found


def by_host(apart: str = "") -> list[Taken]:
    """Return the subnets of the host's addresses and routes.

    Those of the link `apart` do not count. Raises Code.INTERNAL.
    """
    with Netlink() as netlink:
        there = {link.index: link for link in links.listed(netlink, LinkRequest())}
        held = addresses.listed(netlink)
        told = routes.listed(netlink)
    names = {index: link.name for index, link in there.items()}
    found = [
        Taken(each.address.network, f"{names.get(index, 'a link')} has {each.address}")
        for index, each in held
        if names.get(index) != apart or not apart
    ]
    for route in told:
        dst = route.dst
        counts = dst.prefixlen > _EVERYTHING and route.table != _LOCAL_TABLE
        if counts and (names.get(route.link) != apart or not apart):
            by = names.get(route.link, "no link")
            found.append(Taken(dst, f"the host routes {dst} by {by}", is_routed=True))
    return found


def link(name: str) -> Link | None:
    """Return the link `name` of the host, if there is one; raises Code.INTERNAL."""
    with Netlink() as netlink:
        return links.get(netlink, name)


def check(subnets: Iterable[IPNetwork], taken: Sequence[Taken]) -> None:
    """Raise Code.INVALID_CONFIG for a subnet of which somebody has a part.

    A route to more than the subnet does not count, for what is narrower goes before.
    """
    for subnet in subnets:
        for each in taken:
            wide = each.is_routed and each.subnet.prefixlen < subnet.prefixlen
            if _overlap(subnet, each.subnet) and not wide:
                msg = f"create network with {subnet}: {each.who}"
                hint = "without --subnet one is chosen that nobody has"
                raise CNIError(Code.INVALID_CONFIG, msg, hint)


def free_ipv4(taken: Sequence[Taken]) -> IPNetwork:
    """Return the first /24 that nobody has a part of; raises Code.INVALID_CONFIG."""
    held = [each.subnet for each in taken if each.subnet.version == 4]  # noqa: PLR2004 - IPv4
    for first, last in _POOLS:
        start, end = (int(ipaddress.ip_address(word)) for word in (first, last))
        number = start
        while number <= end:
            subnet = ipaddress.IPv4Network((number, 24))
            over = [each for each in held if subnet.overlaps(each)]
            if not over:
                return subnet
            beyond = max(int(each.broadcast_address) + 1 for each in over)
            number = max(number + _STEP, (beyond + _STEP - 1) // _STEP * _STEP)
    msg = "create network: no /24 of the private ranges is free"
    raise CNIError(Code.INVALID_CONFIG, msg, "--subnet names one")


def free_ipv6(taken: Sequence[Taken]) -> IPNetwork:
    """Return a /64 of a prefix chosen at random, as RFC 4193 asks for."""
    while True:
        prefix = bytes([0xFD]) + secrets.token_bytes(5) + bytes(10)
        subnet = ipaddress.IPv6Network((prefix, 64))
        if not any(_overlap(subnet, each.subnet) for each in taken):
            return subnet


def check_bridge(name: str, lists: Iterable[between.Member], *, is_named: bool) -> None:
    """Raise Code.INVALID_CONFIG for a bridge that another list names, or a link that
    is there.

    One that is there and a bridge may be taken if the words name it: `is_named`.
    """
    for other, member in bridges(lists):
        if other == name:
            cause = f"network {member.name} in {member.file} has it"
            raise _taken(name, cause)
    found = link(name)
    if found is not None and found.kind != "bridge":
        raise _taken(name, "a link of that name is no bridge")
    if found is not None and not is_named:
        raise _taken(name, "it is there already", f", --bridge {name} takes it")


def check_parent(name: str) -> None:
    """Raise Code.INVALID_CONFIG unless the host has a link of that name."""
    if link(name) is None:
        with Netlink() as netlink:
            there = [each.name for each in links.listed(netlink, LinkRequest())]
        msg = f"create network on {name}: there is no such link"
        raise CNIError(Code.INVALID_CONFIG, msg, f"there are: {' '.join(there)}")


def others(lists: Iterable[between.Member], bridge: str) -> list[between.Member]:
    """Return the networks that are on a bridge."""
    return [member for name, member in bridges(lists) if name == bridge]


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _taken(bridge: str, cause: str, more: str = "") -> CNIError:
    msg = f"create network on bridge {bridge}: {cause}"
    return CNIError(Code.INVALID_CONFIG, msg, f"--bridge names another{more}")
