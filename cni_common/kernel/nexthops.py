# SPDX-License-Identifier: Apache-2.0
"""Nexthop objects, by which many routes lead (ip-nexthop(8), linux/nexthop.h, 5.3).

A route that names one shares it, and the kernel compares it with no other route: what
thousands of routes cost grows with their number alone.
"""

from __future__ import annotations

import ipaddress
import struct
from sys import byteorder

from cni_common.kernel.attributes import Attributes, attribute, number
from cni_common.kernel.netlink import CREATE, EXCLUSIVE, Netlink, NetlinkError
from cni_common.kernel.raw_netlink import NESTED
from cni_common.kernel.requests import NETLINK_HEADER, Request
from cni_common.kernel.sockets import FAMILY
from cni_common.spec.errors import refused
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.route_answer import IPAddress

_RTM_NEWNEXTHOP, _RTM_DELNEXTHOP, _RTM_GETNEXTHOP = 104, 105, 106
_NHMSG = struct.Struct("=BBBxI")  # family, scope, protocol, flags
_ID, _OIF, _GATEWAY, _ENCAP_TYPE, _ENCAP = 1, 5, 6, 7, 8  # NHA_*
_KINDS = {4: 2, 6: 4}  # LWTUNNEL_ENCAP_IP and _IP6, by the version of the underlay
_TUNNEL_ID, _DESTINATION, _SOURCE, _FLAGS = 1, 2, 3, 6  # LWTUNNEL_IP_*, and IP6_*
_CHECKSUM = 1  # TUNNEL_CSUM
_ON_LINK = 4  # RTNH_F_ONLINK
_BIG64, _BIG16 = struct.Struct(">Q"), struct.Struct(">H")


class Tunnel(NamedTuple):
    """With what a packet is told to a tunnel device that is `external`.

    The UDP header has a checksum: over IPv6 the other end drops what has none.
    """

    vni: int
    source: IPAddress
    destination: IPAddress


class Nexthop(NamedTuple):
    """Where routes of an IP `version` lead, by the link with the index `link`.

    With `on_link` the gateway is a neighbour though no route says so.
    """

    version: int
    link: int
    gateway: IPAddress | None = None
    on_link: bool = False
    tunnel: Tunnel | None = None


class Listed(NamedTuple):
    """A nexthop object of the namespace; `nexthop` is None for one of another kind."""

    id: int
    protocol: int
    nexthop: Nexthop | None


def addition(nhid: int, nexthop: Nexthop, protocol: int) -> tuple[Request, int, int]:
    """Return the request that adds `nexthop` as `nhid`, which must be free."""
    version = nexthop.gateway.version if nexthop.gateway else nexthop.version
    flags = _ON_LINK if nexthop.on_link else 0
    body = _NHMSG.pack(FAMILY[version], 0, protocol, flags)
    body += number(_ID, nhid) + number(_OIF, nexthop.link)
    if nexthop.gateway is not None:
        body += attribute(_GATEWAY, nexthop.gateway.packed)
    if nexthop.tunnel is not None:
        body += _encapsulation(nexthop.tunnel)
    return Request(body), _RTM_NEWNEXTHOP, CREATE | EXCLUSIVE


def deletion(nhid: int) -> tuple[Request, int, int]:
    """Return the request that deletes a nexthop object, and each route by it."""
    body = _NHMSG.pack(0, 0, 0, 0) + number(_ID, nhid)
    return Request(body), _RTM_DELNEXTHOP, 0


def listed(netlink: Netlink) -> list[Listed]:
    """Return every nexthop object of the namespace. Raises Code.INTERNAL."""
    question = Request(_NHMSG.pack(0, 0, 0, 0))
    try:
        answers = netlink.dump(question, _RTM_GETNEXTHOP, _Answer)
    except NetlinkError as error:
        raise refused("list nexthops", error) from error
    return [answer.listed for answer in answers]


def _encapsulation(tunnel: Tunnel) -> bytes:
    told = attribute(_TUNNEL_ID, _BIG64.pack(tunnel.vni))
    told += attribute(_SOURCE, tunnel.source.packed)
    told += attribute(_DESTINATION, tunnel.destination.packed)
    told += attribute(_FLAGS, _BIG16.pack(_CHECKSUM))
    kind = _KINDS[tunnel.destination.version].to_bytes(2, byteorder)
    return attribute(_ENCAP_TYPE, kind) + attribute(_ENCAP | NESTED, told)


class _Answer:
    """A message about a nexthop object, to be decoded into `listed`."""

    listed: Listed

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read what we could have made; more is no nexthop of ours."""
        family, _, protocol, flags = _NHMSG.unpack_from(
            self._message, NETLINK_HEADER.size
        )
        told = Attributes(self._message, NETLINK_HEADER.size + _NHMSG.size)
        link, kind = told.number(_OIF), told.number(_ENCAP_TYPE)
        is_known = link and (not kind or kind in _KINDS.values())
        nexthop = None
        if is_known:
            gateway = told.raw(_GATEWAY)
            nexthop = Nexthop(
                4 if family == FAMILY[4] else 6,
                link,
                ipaddress.ip_address(gateway) if gateway else None,
                bool(flags & _ON_LINK),
                _tunnel(told.nested(_ENCAP)) if kind else None,
            )
        self.listed = Listed(told.number(_ID), protocol, nexthop)


def _tunnel(told: Attributes) -> Tunnel | None:
    if _BIG16.unpack(told.raw(_FLAGS).rjust(2, b"\0"))[0] & _CHECKSUM == 0:
        return None
    (vni,) = _BIG64.unpack(told.raw(_TUNNEL_ID).rjust(8, b"\0"))
    source, destination = told.raw(_SOURCE), told.raw(_DESTINATION)
    return Tunnel(vni, ipaddress.ip_address(source), ipaddress.ip_address(destination))
