# SPDX-License-Identifier: Apache-2.0
"""Routes of the main table that one protocol made (rtm_protocol, ip-route(8)).

Who made a route is part of it, so that those of one maker can be listed, changed and
deleted among hundreds of thousands of others, which are not looked at.
"""

from __future__ import annotations

import errno
import ipaddress

from cni_common.kernel.attributes import Attributes, attribute, number
from cni_common.kernel.netlink import CREATE, EXCLUSIVE, REPLACE, Netlink, NetlinkError
from cni_common.kernel.requests import NETLINK_HEADER, RTMSG, RouteRequest
from cni_common.kernel.route_answer import DST, OIF, PREFSRC, PRIORITY, TABLE
from cni_common.kernel.routes import (
    LOCAL_TABLE,
    MAIN_TABLE,
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
)
from cni_common.kernel.sockets import FAMILY
from cni_common.spec.errors import refused
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.kernel.route_answer import IPAddress, IPNetwork

_NH_ID = 30  # RTA_NH_ID
_UNICAST, _LOCAL, _UNREACHABLE = 1, 2, 7  # RTN_*
_HOST_SCOPE = 254  # RT_SCOPE_HOST
_ANY_SCOPE = 255  # RT_SCOPE_NOWHERE
_FIB_MATCH = 0x2000  # RTM_F_FIB_MATCH
# The kernel has no such family.
_UNKNOWN = {errno.EAFNOSUPPORT, errno.EOPNOTSUPP}
LAST = (1 << 32) - 1  # the metric behind all others


class ProtocolRoute(NamedTuple):
    """A route to `dst` by the nexthop object `nhid`; without one it is unreachable."""

    dst: IPNetwork
    nhid: int
    metric: int
    source: IPAddress | None = None


def addition(route: ProtocolRoute, protocol: int) -> tuple[RouteRequest, int, int]:
    """Return the request that adds `route`; one of that metric must not be there."""
    return _request(route, protocol), RTM_NEWROUTE, CREATE | EXCLUSIVE


def replacement(route: ProtocolRoute, protocol: int) -> tuple[RouteRequest, int, int]:
    """Return the request that puts `route` in the place of the one of that metric.

    No packet finds none in between.
    """
    return _request(route, protocol), RTM_NEWROUTE, CREATE | REPLACE


def deletion(route: ProtocolRoute, protocol: int) -> tuple[RouteRequest, int, int]:
    """Return the request that deletes `route`, if `protocol` has made it."""
    family, length = FAMILY[route.dst.version], route.dst.prefixlen
    where = _where(route)
    # Of whatever kind: somebody may have made one of the protocol in his own way.
    request = RouteRequest(
        family, where, length=length, protocol=protocol, scope=_ANY_SCOPE
    )
    return request, RTM_DELROUTE, 0


def own(address: IPAddress, link: int, protocol: int) -> tuple[RouteRequest, int, int]:
    """Return the request after which `address` of a link is the host's, whatever else
    the kernel has of it.
    """
    packed = address.packed
    request = RouteRequest(
        FAMILY[address.version],
        attribute(DST, packed) + attribute(PREFSRC, packed) + number(OIF, link),
        number(TABLE, LOCAL_TABLE),
        length=address.max_prefixlen,
        protocol=protocol,
        scope=_HOST_SCOPE,
        kind=_LOCAL,
    )
    return request, RTM_NEWROUTE, CREATE  # before those that there are


def listed(netlink: Netlink, protocol: int) -> list[ProtocolRoute]:
    """Return what `protocol` has made, of the families that the kernel has.

    Raises Code.INTERNAL.
    """
    found = []
    for family in FAMILY.values():
        question = RouteRequest(family, number(TABLE, MAIN_TABLE), protocol=protocol)
        try:
            answers = netlink.dump(question, RTM_GETROUTE, _Answer)
        except NetlinkError as error:
            if error.errno in _UNKNOWN:
                continue
            raise refused(f"list routes of protocol {protocol}", error) from error
        found += [a.route for a in answers if a.protocol == protocol]
    return found


def leading(netlink: Netlink, dsts: Sequence[IPNetwork]) -> list[tuple[IPNetwork, int]]:
    """Return for the first address of each of `dsts` the route that it takes: where
    that leads, and the protocol that made it.

    Where there is no route, it is `dsts` itself and 0.
    """
    found: list[tuple[IPNetwork, int]] = []
    for start in range(0, len(dsts), 32):
        part = dsts[start : start + 32]
        questions = [(_question(dst), RTM_GETROUTE, 0) for dst in part]
        answers = netlink.answers(questions, _Answer)
        for dst, answer in zip(part, answers, strict=True):
            absent = isinstance(answer, NetlinkError)
            found.append((dst, 0) if absent else (answer.route.dst, answer.protocol))
    return found


def _question(dst: IPNetwork) -> RouteRequest:
    address = attribute(DST, dst.network_address.packed)
    family, length = FAMILY[dst.version], dst.max_prefixlen
    return RouteRequest(family, address, length=length, flags=_FIB_MATCH)


def _request(route: ProtocolRoute, protocol: int) -> RouteRequest:
    attributes = _where(route)
    if route.nhid:
        attributes += number(_NH_ID, route.nhid)
    if route.source is not None:
        attributes += attribute(PREFSRC, route.source.packed)
    return RouteRequest(
        FAMILY[route.dst.version],
        attributes,
        length=route.dst.prefixlen,
        protocol=protocol,
        kind=_UNICAST if route.nhid else _UNREACHABLE,
    )


def _where(route: ProtocolRoute) -> bytes:
    address = attribute(DST, route.dst.network_address.packed)
    return address + number(TABLE, MAIN_TABLE) + number(PRIORITY, route.metric)


class _Answer:
    """A message about a route, to be decoded into `route` and its `protocol`."""

    route: ProtocolRoute
    protocol: int

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read it as far as ours have it."""
        start = NETLINK_HEADER.size
        family, length, _, _, _, self.protocol, _, _, _ = RTMSG.unpack_from(
            self._message, start
        )
        told = Attributes(self._message, start + RTMSG.size)
        source = told.raw(PREFSRC)
        address = told.raw(DST) or bytes(4 if family == FAMILY[4] else 16)
        self.route = ProtocolRoute(
            ipaddress.ip_network((address, length)),
            told.number(_NH_ID),
            told.number(PRIORITY),
            ipaddress.ip_address(source) if source else None,
        )
