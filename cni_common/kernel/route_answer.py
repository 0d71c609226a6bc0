# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of a route (linux/rtnetlink.h), as far as we ask."""

from __future__ import annotations

import ipaddress
import struct
from _socket import AF_INET

from cni_common.kernel.attributes import Attributes, number
from cni_common.kernel.requests import NETLINK_HEADER, Request
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Iterator

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_HEADER = struct.Struct("=8BI")  # struct rtmsg
_HOP = struct.Struct("=HBBi")  # struct rtnexthop
_DST, _OIF, _GATEWAY, _PRIORITY = 1, 4, 5, 6  # RTA_*
_METRICS, _MULTIPATH, _TABLE = 8, 9, 15
_MTU, _ADVMSS = 2, 8  # RTAX_*


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


class RouteQuestion(Request):
    """A question for the routes through the link `index` in `table`."""

    def __init__(self, family: int, table: int, index: int) -> None:
        head = _HEADER.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        super().__init__(head + number(_TABLE, table) + number(_OIF, index))


class RouteAnswer:
    """A message about a route, to be decoded into `routes`, one for each hop."""

    routes: list[KernelRoute]

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read the routes; the rest of the message is left alone."""
        start = NETLINK_HEADER.size
        family, length, _, _, table, _, scope, *_ = _HEADER.unpack_from(
            self._message, start
        )
        told = Attributes(self._message, start + _HEADER.size)
        nowhere = bytes(4 if family == AF_INET else 16)
        dst = ipaddress.ip_network((told.raw(_DST) or nowhere, length))
        metrics = told.nested(_METRICS)
        self.routes = [
            KernelRoute(
                dst=dst,
                gw=ipaddress.ip_address(gw) if gw else None,
                link=index,
                mtu=metrics.number(_MTU),
                advmss=metrics.number(_ADVMSS),
                priority=told.number(_PRIORITY),
                table=told.number(_TABLE) or table,
                scope=scope,
            )
            for index, gw in _paths(told)
        ]


def _paths(told: Attributes) -> Iterator[tuple[int, bytes]]:
    """Yield index of the link and gateway of each hop."""
    yield told.number(_OIF), told.raw(_GATEWAY)
    hops = told.raw(_MULTIPATH)
    while len(hops) >= _HOP.size:
        length, _, _, index = _HOP.unpack_from(hops)
        yield index, Attributes(hops[:length], _HOP.size).raw(_GATEWAY)
        hops = hops[max((length + 3) & ~3, _HOP.size) :]
