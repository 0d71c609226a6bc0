# SPDX-License-Identifier: Apache-2.0
"""Routes in the kernel's own words, to be put elsewhere or back in every detail.

What the kernel tells of a route is what it takes for one, but for what it counts.
"""

from __future__ import annotations

import errno
import ipaddress
from _socket import AF_INET, AF_INET6
from sys import byteorder

from cni_common.kernel.attributes import attribute, number, pairs
from cni_common.kernel.netlink import APPEND, CREATE, Netlink, NetlinkError
from cni_common.kernel.requests import NETLINK_HEADER, RTMSG, Request, RouteRequest
from cni_common.kernel.route_answer import (
    DST,
    GATEWAY,
    OIF,
    PREFSRC,
    PRIORITY,
    TABLE,
    RouteAnswer,
)
from cni_common.kernel.routes import (
    LOCAL_TABLE,
    MAIN_TABLE,
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
    SCOPE_LINK,
    SCOPE_UNIVERSE,
)
from cni_common.kernel.sockets import FAMILY
from cni_common.spec.errors import refused
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.route_answer import IPAddress, IPNetwork, KernelRoute
    from cni_common.spec.errors import CNIError

_UNICAST, _ON_LINK = 1, 4  # RTN_UNICAST, RTNH_F_ONLINK
_CACHEINFO, _MULTIPATH, _VIA, _NH_ID = 12, 9, 18, 30  # RTA_*
_COUNTED = {_CACHEINFO, TABLE, _NH_ID}
_IPV6_METRIC = 1024  # IP6_RT_PRIO_USER, which the kernel takes where none is given
# The kernel has no such family, or the table no such route.
_UNKNOWN = {errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.ENOENT}
_GONE = {errno.ESRCH, errno.ENODEV, *_UNKNOWN}
_LINK_LOCAL = ipaddress.ip_network("fe80::/10")


@dataclass(frozen=True)
class SavedRoute:
    """A route: struct rtmsg and attributes, as they are sent; JSON has them in hex."""

    message: bytes

    @classmethod
    def read(cls, value: object) -> Self:
        """Return the route of a record; raises ValueError for what is none."""
        if not isinstance(value, str):
            raise ValueError(f"{value!r:.40} is not a route")
        found = cls(bytes.fromhex(value))
        size = RTMSG.size
        if len(found.message) < size or found.message[0] not in {AF_INET, AF_INET6}:
            raise ValueError(f"{value!r:.40} is not a route")
        # Decoding tells an address that is none.
        if not found.table or not all(hop.link for hop in found.hops):
            raise ValueError(f"{value!r:.40} is not a route")
        return found

    @classmethod
    def of_answer(cls, message: bytes) -> Self:
        """Return the route that the kernel tells of."""
        start = NETLINK_HEADER.size
        return cls._of(message[start:], RTMSG.unpack_from(message, start)[4])

    @classmethod
    def of(
        cls,
        index: int,
        dst: IPNetwork,
        gw: IPAddress | None = None,
        *,
        source: IPAddress | None = None,
        on_link: bool = False,
    ) -> Self:
        """Return a route of the main table through the link `index`."""
        is_ipv4 = dst.version == 4  # noqa: PLR2004 - the family
        attributes = (
            attribute(DST, dst.network_address.packed) if dst.prefixlen else b""
        )
        if not is_ipv4:
            attributes += number(PRIORITY, _IPV6_METRIC)
        if source is not None:
            attributes += attribute(PREFSRC, source.packed)
        if gw is not None:
            attributes += attribute(GATEWAY, gw.packed)
        scope = SCOPE_LINK if is_ipv4 and gw is None else SCOPE_UNIVERSE
        flags = _ON_LINK if on_link else 0
        head = (FAMILY[dst.version], dst.prefixlen, 0, 0, 0, 3, scope, _UNICAST, flags)
        body = attributes + number(OIF, index)
        return cls._of(RTMSG.pack(*head) + body, MAIN_TABLE)

    @classmethod
    def _of(cls, message: bytes, table: int) -> Self:
        """Return the route without what is counted, and its table in one place."""
        family, length, source, tos, _, protocol, scope, kind, flags = (
            RTMSG.unpack_from(message)
        )
        told = dict(pairs(message, RTMSG.size))
        if TABLE in told:
            table = int.from_bytes(told[TABLE], byteorder)
        if _MULTIPATH in told:
            told[_MULTIPATH] = _settled(told[_MULTIPATH])
        attributes = [attribute(k, v) for k, v in told.items() if k not in _COUNTED]
        flags &= _ON_LINK
        head = RTMSG.pack(family, length, source, tos, 0, protocol, scope, kind, flags)
        return cls(b"".join((head, number(TABLE, table), *sorted(attributes))))

    def moved(
        self,
        table: int,
        *,
        protocol: int | None = None,
        source: IPAddress | None = None,
    ) -> SavedRoute:
        """Return the same route in `table`, made by `protocol`, with that `source`."""
        head = list(RTMSG.unpack_from(self.message))
        if protocol is not None:
            head[5] = protocol
        told = dict(pairs(self.message, RTMSG.size))
        if source is not None:
            told[PREFSRC] = source.packed
        told[TABLE] = table.to_bytes(4, byteorder)
        attributes = (attribute(kind, value) for kind, value in told.items())
        return self._of(RTMSG.pack(*head) + b"".join(attributes), table)

    @property
    def hops(self) -> list[KernelRoute]:
        """Return what is decoded of each of its paths."""
        answer = RouteAnswer(bytes(NETLINK_HEADER.size) + self.message)
        answer.decode()
        hops = [hop for hop in answer.routes if hop.link]
        return hops or answer.routes

    @property
    def dst(self) -> IPNetwork:
        """The destination."""
        return self.hops[0].dst

    @property
    def table(self) -> int:
        """The number of its table."""
        return self.hops[0].table

    @property
    def gateways(self) -> list[IPAddress]:
        """The gateways of its paths; none of one that is on the link."""
        return [hop.gw for hop in self.hops if hop.gw is not None]

    @property
    def ends(self) -> list[IPAddress]:
        """The addresses on this side that it names: its gateways, and its source."""
        source = dict(pairs(self.message, RTMSG.size)).get(PREFSRC)
        return self.gateways + ([ipaddress.ip_address(source)] if source else [])

    @property
    def has_gateway(self) -> bool:
        """Whether another route must lead to its next hop."""
        return bool(self.gateways) or _VIA in dict(pairs(self.message, RTMSG.size))

    @property
    def is_link_local(self) -> bool:
        """Whether the kernel has made it for each link that is up."""
        return self.dst.version == 6 and self.dst.subnet_of(_LINK_LOCAL)  # type: ignore[arg-type]  # noqa: PLR2004 - the family

    @property
    def key(self) -> bytes:
        """What tells it from other routes, whoever has made it and whatever it says."""
        family, length, source, tos, *_ = RTMSG.unpack_from(self.message)
        named = {DST, OIF, GATEWAY, PRIORITY, TABLE, _MULTIPATH, _VIA}
        found = pairs(self.message, RTMSG.size)
        told = sorted(attribute(k, value) for k, value in found if k in named)
        return bytes((family, length, source, tos)) + b"".join(told)

    def __str__(self) -> str:
        """Return it as ip-route(8) would begin to."""
        via = "".join(f" via {gw}" for gw in self.gateways)
        return f"{self.dst}{via}"

    def document(self) -> str:
        """Return it as JSON has it."""
        return self.message.hex()


class _Answer:
    """A message about a route, to be decoded into `route`."""

    route: SavedRoute
    is_unicast: bool

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read it whole."""
        kind = RTMSG.unpack_from(self._message, NETLINK_HEADER.size)[7]
        self.is_unicast = kind == _UNICAST
        self.route = SavedRoute.of_answer(self._message)


def of_link(netlink: Netlink, link: Link) -> list[SavedRoute]:
    """Return what leads through `link` alone, in any table but that of local addresses.

    Raises Code.INTERNAL.
    """
    found = _listed(netlink, number(OIF, link.index))
    return [
        answer.route
        for answer in found
        if answer.is_unicast
        and answer.route.table != LOCAL_TABLE
        and all(hop.link == link.index for hop in answer.route.hops)
    ]


def links_of_tables(netlink: Netlink) -> dict[int, set[int]]:
    """Return of each table that has a route the indexes of the links that it leads by.

    Raises Code.INTERNAL.
    """
    found: dict[int, set[int]] = {}
    for answer in _listed(netlink):
        through = {hop.link for hop in answer.route.hops}
        found.setdefault(answer.route.table, set()).update(through)
    return found


def put(netlink: Netlink, routes: Iterable[SavedRoute]) -> None:
    """Add `routes`, in one batch: first those that others need for their gateways.

    What is there already is accepted. Raises Code.INTERNAL.
    """
    ordered = sorted(dict.fromkeys(routes), key=lambda route: route.has_gateway)
    flags = CREATE | APPEND
    for route, error in _outcomes(netlink, ordered, RTM_NEWROUTE, flags):
        if error.errno != errno.EEXIST:
            raise _refused("add", route, error) from error


def drop(netlink: Netlink, routes: Iterable[SavedRoute]) -> None:
    """Delete `routes`, in one batch; absence is success. Raises Code.INTERNAL."""
    for route, error in _outcomes(netlink, list(routes), RTM_DELROUTE, 0):
        if error.errno not in _GONE:
            raise _refused("delete", route, error) from error


def _outcomes(
    netlink: Netlink, routes: list[SavedRoute], kind: int, flags: int
) -> Iterator[tuple[SavedRoute, NetlinkError]]:
    """Yield what the kernel refuses, when all is tried."""
    requests = [(Request(route.message), kind, flags) for route in routes]
    for route, error in zip(routes, netlink.outcomes(requests), strict=True):
        if error is not None:
            yield route, error


def _refused(verb: str, route: SavedRoute, error: NetlinkError) -> CNIError:
    return refused(f"{verb} route {route} in table {route.table}", error)


def _listed(netlink: Netlink, *attributes: bytes) -> list[_Answer]:
    found: list[_Answer] = []
    for family in FAMILY.values():
        question = RouteRequest(family, *attributes)
        try:
            found += netlink.dump(question, RTM_GETROUTE, _Answer)
        except NetlinkError as error:
            if error.errno not in _UNKNOWN:
                raise refused("list routes", error) from error
    return found


def _settled(hops: bytes) -> bytes:
    """Return struct rtnexthop of each path without what the kernel says of its link."""
    settled, offset = bytearray(hops), 0
    while offset + 8 <= len(hops):
        settled[offset + 2] &= _ON_LINK
        length = int.from_bytes(hops[offset : offset + 2], byteorder)
        offset += max((length + 3) & ~3, 8)
    return bytes(settled)
