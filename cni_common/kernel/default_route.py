# SPDX-License-Identifier: Apache-2.0
"""Which link has the default route: asked for by address, so that no table is listed.

The kernel tells the route that an address matches (RTM_F_FIB_MATCH, Linux 4.13), and
the default route is what an address of nobody matches.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_pton

from cni_common.kernel import links
from cni_common.kernel.attributes import attribute
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.kernel.requests import RouteRequest
from cni_common.kernel.route_answer import DST, RouteAnswer

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link

_RTM_GETROUTE = 26
_FIB_MATCH = 0x2000
# Documentation prefixes (RFC 5737, RFC 3849), which few have a narrower route for;
# several, since a laboratory may.
_NOBODY = {
    AF_INET: ("192.0.2.1", "198.51.100.1", "203.0.113.1"),
    AF_INET6: ("2001:db8::1", "2000::1", "3ffe::1"),
}


def link(netlink: Netlink) -> Link | None:
    """Return the link of the IPv4 default route, else of the IPv6 one, else None."""
    for family, addresses in _NOBODY.items():
        for address in addresses:
            index = _default(netlink, family, address)
            if index:
                return links.by_index(netlink, index)
    return None


def leads_through(netlink: Netlink, link: Link) -> bool:
    """Tell whether the default route of either family leads through `link`."""
    return any(
        _default(netlink, family, address) == link.index
        for family, addresses in _NOBODY.items()
        for address in addresses
    )


def _default(netlink: Netlink, family: int, address: str) -> int:
    """Return the index of the default route's link if `address` goes by it, else 0."""
    packed = inet_pton(family, address)
    message = RouteRequest(
        family, attribute(DST, packed), length=8 * len(packed), flags=_FIB_MATCH
    )
    try:
        found: RouteAnswer = netlink.get(message, _RTM_GETROUTE, RouteAnswer)
    except NetlinkError:  # unreachable by whatever errno the route says
        return 0
    hops = [hop.link for hop in found.routes if hop.link and not hop.dst.prefixlen]
    return hops[0] if hops else 0
