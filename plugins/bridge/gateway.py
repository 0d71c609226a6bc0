# SPDX-License-Identifier: Apache-2.0
"""Which addresses the bridge has as the containers' gateway, and which routes they."""

from __future__ import annotations

import ipaddress

from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import IP, Route

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.spec.fields import IPAddress, IPInterface, IPNetwork

_LINK_LOCAL = 64  # the prefix length of RFC 4291
_DEFAULT: dict[int, IPNetwork] = {
    4: ipaddress.IPv4Network("0.0.0.0/0"),
    6: ipaddress.IPv6Network("::/0"),
}


def with_gateway(ip: IP, *, is_gateway: bool, interface: int) -> IP:
    """Return `ip` on the container's interface, with a gateway if the bridge is one.

    An address without one gets the first address of its subnet. Raises Code.INTERNAL
    for a subnet of one address, which no other can be in.
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


def _address_of(ip: IP, gateway: IPAddress) -> IPInterface:
    """Return the address of `gateway` on the bridge: by itself outside the subnet."""
    length = ip.address.network.prefixlen
    if gateway not in ip.address.network:
        is_there = gateway.version == 6 and gateway.is_link_local  # noqa: PLR2004 - the family's number
        length = _LINK_LOCAL if is_there else gateway.max_prefixlen
    return ipaddress.ip_interface((gateway, length))
