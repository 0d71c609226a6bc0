# SPDX-License-Identifier: Apache-2.0
"""The bridge as the containers' gateway: its addresses, and who routes through it."""

from __future__ import annotations

import ipaddress

from cni_common import layer3, overlaps
from cni_common.kernel import addresses, ipv6, links, route_get, routes
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import IP, Route
from cni_common.spec.values import dataclass, field

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.fields import IPAddress, IPInterface, IPNetwork

_LINK_LOCAL = 64  # the prefix length of RFC 4291
_DEFAULT: dict[int, IPNetwork] = {
    4: ipaddress.IPv4Network("0.0.0.0/0"),
    6: ipaddress.IPv6Network("::/0"),
}


@dataclass
class Changes:
    """The addresses that this call gave to a link, and those it took from it.

    `enabled_ipv6` tells that the link had IPv6 off before. `routes` are those that it
    got, each with the address of the gateway.
    """

    added: list[IPInterface] = field(default_factory=list)
    deleted: list[IPInterface] = field(default_factory=list)
    enabled_ipv6: bool = False
    routes: list[tuple[IPNetwork, IPInterface]] = field(default_factory=list)


def with_gateway(ip: IP, *, is_gateway: bool, interface: int) -> IP:
    """Return `ip` on the container's interface, with a gateway if the bridge is one.

    An address without one gets the first address of its subnet. Raises code 999 for a
    subnet of one address, which no other can be in.
    """
    if is_gateway and ip.address.network.num_addresses == 1:
        msg = f"use address {ip.address}: its subnet has none for the bridge"
        remedy = "give it the prefix length of the subnet, or use ptp"
        raise CNIError(Code.INTERNAL, msg, remedy)
    gateway = ip.gateway
    if is_gateway and gateway is None:
        gateway = ip.address.network.network_address + 1
    return ip.model_copy(update={"gateway": gateway, "interface": interface})


def default_routes(ips: Sequence[IP], given: Sequence[Route]) -> list[Route]:
    """Return a default route for each family of `ips` that `given` lack one for."""
    present = {route.dst.network for route in given}
    found: dict[int, Route] = {}
    for ip in ips:
        dst = _DEFAULT[ip.address.version]
        if dst not in present and ip.gateway is not None:
            default = Route(dst=ipaddress.ip_interface(dst), gw=ip.gateway)
            found.setdefault(ip.address.version, default)
    return list(found.values())


def addresses_of(ips: Sequence[IP]) -> list[IPInterface]:
    """Return the addresses that the bridge has as the gateway of `ips`."""
    found = [_address_of(ip, ip.gateway) for ip in ips if ip.gateway is not None]
    return list(dict.fromkeys(found))


def outside(ips: Sequence[IP]) -> list[IP]:
    """Return those of `ips` whose gateway brings no route to their subnet."""
    return [ip for ip in ips if layer3.is_outside(ip)]


def ensure_addresses(
    netlink: Netlink,
    link: Link,
    ips: Sequence[IP],
    changes: Changes,
    *,
    force: bool,
) -> None:
    """Have `link` hold the gateways' addresses; `changes` tells what that took.

    Any other IPv4 address, and any other IPv6 address in an overlapping subnet, is
    in conflict: it is deleted with `force`, else code 999 is raised and nothing
    added. So it is, whatever `force` says, where another link has such a subnet.
    """
    wanted = addresses_of(ips)
    present = layer3.held(netlink, link)
    missing = [address for address in wanted if address not in present]
    if missing:
        overlaps.refuse_subnets(netlink, link, ips)
        overlaps.refuse_gateways(netlink, ips, own=link.name)
    for other in present:
        if other in wanted or not any(_conflict(other, new) for new in missing):
            continue
        if not force:
            msg = f'set address {missing[0]} of bridge {link.name}: "{link.name}"'
            cause = "already has an IP address different from"
            remedy = f"set forceAddress, or: ip address delete {other} dev {link.name}"
            raise CNIError(
                Code.INTERNAL,
                f"{msg} {cause} {missing[0]}",
                f"it has {other}; name that as gateway, {remedy}",
            )
        changes.deleted.append(other)
        addresses.delete(netlink, link, other)
    if any(address.version == 6 for address in missing):  # noqa: PLR2004 - the family's number
        changes.enabled_ipv6 = ipv6.enable(link.name)
    # All of them: with an IPv4 address the kernel deletes its secondary ones.
    for address in wanted if missing else ():
        if addresses.ensure(netlink, link, address):
            changes.added.append(address)


def ensure_routes(
    netlink: Netlink, link: Link, ips: Sequence[IP], changes: Changes
) -> None:
    """Have the subnets of `ips` on `link` where the gateway's address is in none.

    Raises code 999, also for a subnet that is another link's.
    """
    for ip in outside(ips):
        found = route_get.connected(ip.address.ip)
        if ip.gateway is None or (found is not None and found.link == link.name):
            continue
        overlaps.refuse_subnets(netlink, link, [ip])
        subnet = ip.address.network
        routes.add(netlink, link, subnet, exclusive=True)
        changes.routes.append((subnet, _address_of(ip, ip.gateway)))


def revert(
    netlink: Netlink, name: str, changes: Changes, in_use: Collection[IPInterface]
) -> None:
    """Have the link `name` hold what it held before, unless `in_use` has come to need
    what was added since.
    """
    link = links.get(netlink, name)
    if link is None:
        return
    for subnet, gateway in changes.routes:
        if gateway not in in_use:
            routes.delete(netlink, link, subnet)
    if any(address in in_use for address in changes.added):
        return
    for address in changes.added:
        addresses.delete(netlink, link, address)
    for address in changes.deleted:
        addresses.ensure(netlink, link, address)
    if changes.enabled_ipv6:
        ipv6.disable(link.name)


def _address_of(ip: IP, gateway: IPAddress) -> IPInterface:
    """Return the address of `gateway` on the bridge: by itself outside the subnet."""
    length = ip.address.network.prefixlen
    if gateway not in ip.address.network:
        is_there = gateway.version == 6 and gateway.is_link_local  # noqa: PLR2004 - the family's number
        length = _LINK_LOCAL if is_there else gateway.max_prefixlen
    return ipaddress.ip_interface((gateway, length))


def _conflict(other: IPInterface, new: IPInterface) -> bool:
    if other.version != new.version or other.ip.is_link_local:
        return False
    return other.version == 4 or other.network.overlaps(new.network)  # noqa: PLR2004 - the family's number
