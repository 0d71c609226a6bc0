# SPDX-License-Identifier: Apache-2.0
"""The routes that make a pair of links a way: nothing but the host is on the link.

The container reaches its own subnet through the host as well, because its neighbours
there are at the far ends of other pairs. The host has one route a container.
"""

from __future__ import annotations

import ipaddress

from cni_common import layer3
from cni_common.kernel import routes
from cni_common.kernel.routes import SCOPE_LINK
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Route
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.fields import IPAddress, IPInterface, IPNetwork
    from cni_common.spec.result import IP


@dataclass(frozen=True)
class PeerRoute:
    """A route to `dst` through `gw`, on the link itself without one.

    `source` is the address that the sender takes, left to the kernel if None.
    """

    dst: IPNetwork
    gw: IPAddress | None = None
    source: IPAddress | None = None


def with_gateway(ip: IP, interface: int) -> IP:
    """Return `ip` on the container's `interface`, with the address of the host's end.

    Where the IPAM plugin names no gateway it is the first address of the subnet.
    Raises Code.INTERNAL if that is the container's own, or there is none.
    """
    gateway = ip.gateway or _first(ip.address)
    if gateway is None or gateway == ip.address.ip:
        msg = f"use address {ip.address}: no other one is left for the host's end"
        details = "the IPAM plugin names no gateway, or the address itself"
        raise CNIError(Code.INTERNAL, msg, details)
    return ip.model_copy(update={"gateway": gateway, "interface": interface})


def gateways(ips: Sequence[IP]) -> list[IPInterface]:
    """Return the addresses of the host's end: the gateways, each by itself."""
    found = dict.fromkeys(ip.gateway for ip in ips if ip.gateway is not None)
    return [ipaddress.ip_interface(gateway) for gateway in found]


def container_routes(ips: Sequence[IP]) -> list[PeerRoute]:
    """Return the container's routes: to its gateways, then to its subnets by them."""
    found: dict[IPNetwork, PeerRoute] = {}
    for ip in ips:
        if ip.gateway is not None:
            dst = ipaddress.ip_network(ip.gateway)
            found.setdefault(dst, PeerRoute(dst, source=ip.address.ip))
    for ip in ips:
        subnet = ip.address.network
        if subnet.num_addresses > 1:
            found.setdefault(subnet, PeerRoute(subnet, ip.gateway, ip.address.ip))
    return list(found.values())


def host_routes(ips: Sequence[IP]) -> list[PeerRoute]:
    """Return the host's routes: to each address of the container."""
    return [
        PeerRoute(ipaddress.ip_network(ip.address.ip), None, _source(ip)) for ip in ips
    ]


def add(
    netlink: Netlink,
    link: Link,
    wanted: Iterable[PeerRoute],
    *,
    exclusive: bool = False,
) -> None:
    """Add the routes through `link`; raises Code.INTERNAL.

    `exclusive` raises TakenError for a destination that has a route already.
    """
    for each in wanted:
        route = routes.addition(
            link, each.dst, each.gw, source=each.source, exclusive=exclusive
        )
        netlink.carry_out(route)


def check(netlink: Netlink, link: Link, wanted: Iterable[PeerRoute]) -> None:
    """Raise Code.INTERNAL for the first of the routes that is not there."""
    for route in wanted:
        scope = SCOPE_LINK if route.gw is None else None
        shown = Route(dst=ipaddress.ip_interface(route.dst), gw=route.gw, scope=scope)
        layer3.check_route(netlink, link, shown, ())


def _first(address: IPInterface) -> IPAddress | None:
    """Return the first address of a subnet that a host may have (RFC 3021, 6164)."""
    subnet = address.network
    match subnet.num_addresses:
        case 1:
            return None
        case 2:
            return next(other for other in subnet if other != address.ip)
        case _:
            return subnet.network_address + 1


def _source(ip: IP) -> IPAddress | None:
    # A link-local one says nothing beyond the link, and many programs refuse it.
    return None if ip.gateway is None or ip.gateway.is_link_local else ip.gateway
