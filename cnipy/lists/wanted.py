# SPDX-License-Identifier: Apache-2.0
"""What the words of `network create` ask for, checked by themselves."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from cni_common.spec.environment import IFNAME_MAX, validate_ifname
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.fields import address
from cni_common.spec.values import dataclass

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from cni_common.spec.fields import IPAddress, IPNetwork

IPV4, IPV6 = 4, 6
_HOST = ("bridge", "ptp")  # the host is the gateway of these
_LINK = ("macvlan", "ipvlan")  # containers are on a link of the host
# What makes no sense with every driver.
_DRIVERS_OF = {
    "parent": _LINK,
    "mode": _LINK,
    "bridge": ("bridge",),
    "isolate": _HOST,
    "isolate_containers": ("bridge",),
    "no_masquerade": _HOST,
    "bandwidth": _HOST,
    "dns_name": ("bridge",),
}
_MODES = {
    "macvlan": ("bridge", "private", "vepa", "passthru"),
    "ipvlan": ("l2", "l3", "l3s"),
}
_LONGEST = {IPV4: 30, IPV6: 126}  # a gateway and a container
_MTU_MIN, _MTU_MAX, _MTU_OF_IPV6 = 68, 65535, 1280
_NAME_MAX = 200  # of a file's and a directory's 255 bytes


@dataclass(frozen=True)
class Range:
    """A subnet, its gateway, and the first and last address that may be given."""

    subnet: IPNetwork
    gateway: IPAddress | None = None
    first: IPAddress | None = None
    last: IPAddress | None = None


def check(options: argparse.Namespace) -> None:
    """Raise CNIError for words that make no sense, alone or together."""
    if len(options.name) > _NAME_MAX:
        raise _refusal("name", f"{options.name:.20}...", f"more than {_NAME_MAX} bytes")
    for key, drivers in _DRIVERS_OF.items():
        if getattr(options, key) and options.driver not in drivers:
            flag = "--" + key.replace("_", "-")
            msg = (
                f"create network {options.name}: driver {options.driver} has no {flag}"
            )
            raise CNIError(
                Code.INVALID_ENVIRONMENT, msg, f"it is for {', '.join(drivers)}"
            )
    modes = _MODES.get(options.driver, ())
    if options.mode and options.mode not in modes:
        raise _refusal(
            "--mode", options.mode, f"{options.driver} has {', '.join(modes)}"
        )
    for key in ("parent", "bridge"):
        if value := getattr(options, key):
            _check_link(f"--{key}", value)
    if options.mtu is not None and not _MTU_MIN <= options.mtu <= _MTU_MAX:
        raise _refusal("--mtu", options.mtu, f"not between {_MTU_MIN} and {_MTU_MAX}")


def check_mtu(mtu: int | None, ranges: Iterable[Range]) -> None:
    """Raise CNIError for an MTU with which the kernel has no IPv6."""
    has_ipv6 = any(each.subnet.version == IPV6 for each in ranges)
    if mtu is not None and mtu < _MTU_OF_IPV6 and has_ipv6:
        raise _refusal("--mtu", mtu, f"IPv6 needs {_MTU_OF_IPV6}")


def subnets(words: Sequence[str]) -> list[IPNetwork]:
    """Return the subnets, at most one of each family; raises CNIError."""
    found: dict[int, IPNetwork] = {}
    for word in words:
        each = _subnet(word)
        if each.version in found:
            cause = f"{found[each.version]} is of the same family"
            raise _refusal("--subnet", word, cause)
        found[each.version] = each
    return list(found.values())


def ranges(
    subnets: Sequence[IPNetwork], gateways: Sequence[str], parts: Sequence[str]
) -> list[Range]:
    """Return the subnets with their gateways, and what may be given of them.

    Raises CNIError for a gateway or a part that lies in none, or of which there are
    several in one.
    """
    by_subnet: dict[IPNetwork, dict[str, IPAddress]] = {s: {} for s in subnets}
    for word in gateways:
        gateway = _address("--gateway", word)
        one = by_subnet[_around("--gateway", word, (gateway,), subnets)]
        _put("--gateway", word, one, gateway=gateway)
    for word in parts:
        first, last = _ends(word)
        subnet = _around("--ip-range", word, (first, last), subnets)
        first, last = _usable(subnet, first, last)
        _put("--ip-range", word, by_subnet[subnet], first=first, last=last)
    return [Range(subnet, **values) for subnet, values in by_subnet.items()]


def _subnet(word: str) -> IPNetwork:
    try:
        found = ipaddress.ip_network(word, strict=False)
    except ValueError as error:
        cause = "no subnet such as 10.5.0.0/24 or fd00:5::/64"
        raise _refusal("--subnet", word, cause) from error
    if found.prefixlen > _LONGEST[found.version]:
        longest = _LONGEST[found.version]
        raise _refusal("--subnet", word, f"no room: /{longest} is the smallest")
    written = word.partition("/")[0]
    if ipaddress.ip_address(written) != found.network_address:
        raise _refusal("--subnet", word, f"is {found} meant?")
    special = (
        found.is_multicast,
        found.is_loopback,
        found.is_link_local,
        found.network_address.is_unspecified,
        found.version == IPV4 and found.is_reserved,
    )
    if any(special):
        raise _refusal("--subnet", word, "such addresses are no host's on a network")
    return found


def _ends(word: str) -> tuple[IPAddress, IPAddress]:
    """Return first and last address of 10.5.0.128/25 or 10.5.0.10-10.5.0.20."""
    if "/" in word:
        try:
            part = ipaddress.ip_network(word)
        except ValueError as error:
            raise _refusal("--ip-range", word, str(error)) from error
        return part[0], part[-1]
    first, _, last = word.partition("-")
    ends = (_address("--ip-range", first), _address("--ip-range", last))
    same = ends[0].version == ends[1].version
    if not same or int(ends[0]) > int(ends[1]):
        raise _refusal("--ip-range", word, "the first is not before the last")
    return ends


def _usable(
    subnet: IPNetwork, first: IPAddress, last: IPAddress
) -> tuple[IPAddress, IPAddress]:
    """Return the ends without what is no host's: the subnet's own, and broadcast."""
    first += first == subnet.network_address
    last -= subnet.version == IPV4 and last == subnet.broadcast_address
    return first, last


def _around(
    flag: str, word: str, held: Iterable[IPAddress], subnets: Iterable[IPNetwork]
) -> IPNetwork:
    """Return the subnet that has all of `held`; raises CNIError."""
    listed = list(subnets)
    for subnet in listed:
        if all(each.version == subnet.version and each in subnet for each in held):
            own = {subnet.network_address}
            own |= {subnet.broadcast_address} if subnet.version == IPV4 else set()
            if flag == "--gateway" and own & {*held}:
                raise _refusal(flag, word, f"no host of {subnet} has it")
            return subnet
    names = ", ".join(map(str, listed)) or "no --subnet"
    raise _refusal(flag, word, f"it is not in {names}")


def _put(flag: str, word: str, into: dict[str, IPAddress], **values: IPAddress) -> None:
    if into.keys() & values.keys():
        raise _refusal(flag, word, "the subnet has one already")
    into.update(values)


def _address(flag: str, word: str) -> IPAddress:
    try:
        return address(word)
    except ValueError as error:
        raise _refusal(flag, word, "no address") from error


def _check_link(flag: str, name: str) -> None:
    try:
        validate_ifname(name)
    except CNIError as error:
        cause = f"no name of a link, of at most {IFNAME_MAX} characters"
        raise _refusal(flag, name, cause) from error


def _refusal(flag: str, word: object, cause: str) -> CNIError:
    return CNIError(Code.INVALID_ENVIRONMENT, f"read {flag} {word!s:.80}: {cause}")
