# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of a route (linux/rtnetlink.h), as far as we ask."""

from __future__ import annotations

import ipaddress
import struct
from _socket import AF_INET

from cni_common.kernel.attributes import Attributes
from cni_common.kernel.requests import NETLINK_HEADER, RTMSG
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOP = struct.Struct("=HBBi")  # struct rtnexthop
DST, OIF, GATEWAY, PRIORITY, PREFSRC = 1, 4, 5, 6, 7  # RTA_*
METRICS, _MULTIPATH, TABLE = 8, 9, 15
MTU, ADVMSS = 2, 8  # RTAX_*


@dataclass(frozen=True)
class KernelRoute:
    """A route as the kernel has it; mtu and advmss in bytes, 0 for none of its own."""

    dst: IPNetwork
    gw: IPAddress | None
    link: int
    mtu: int
    advmss: int
    priority: int
    table: int
    scope: int
    source: IPAddress | None = None


class RouteAnswer:
    """A message about a route, to be decoded into `routes`, one for each hop."""

    routes: list[KernelRoute]

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read the routes; the rest of the message is left alone."""
        start = NETLINK_HEADER.size
        head = RTMSG.unpack_from(self._message, start)
        family, length, _, _, table, _, scope, *_ = head
        told = Attributes(self._message, start + RTMSG.size)
        nowhere = bytes(4 if family == AF_INET else 16)
        dst = ipaddress.ip_network((told.raw(DST) or nowhere, length))
        metrics = told.nested(METRICS)
        source = told.raw(PREFSRC)
        self.routes = [
            KernelRoute(
                dst=dst,
                gw=ipaddress.ip_address(gw) if gw else None,
                link=index,
                mtu=metrics.number(MTU),
                advmss=metrics.number(ADVMSS),
                priority=told.number(PRIORITY),
                table=told.number(TABLE) or table,
                scope=scope,
                source=ipaddress.ip_address(source) if source else None,
            )
            for index, gw in _paths(told)
        ]


def _paths(told: Attributes) -> Iterator[tuple[int, bytes]]:
    """Yield index of the link and gateway of each hop."""
    yield told.number(OIF), told.raw(GATEWAY)
    hops = told.raw(_MULTIPATH)
    while len(hops) >= _HOP.size:
        length, _, _, index = _HOP.unpack_from(hops)
        yield index, Attributes(hops[:length], _HOP.size).raw(GATEWAY)
        hops = hops[max((length + 3) & ~3, _HOP.size) :]
