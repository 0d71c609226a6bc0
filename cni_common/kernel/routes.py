# SPDX-License-Identifier: Apache-2.0
"""Routes of a namespace (ip-route(8), rtnetlink(7))."""

from __future__ import annotations

import errno

from cni_common.kernel.attributes import attribute, number
from cni_common.kernel.netlink import APPEND, CREATE, EXCLUSIVE, Change, NetlinkError
from cni_common.kernel.requests import RouteRequest
from cni_common.kernel.route_answer import (
    ADVMSS,
    DST,
    GATEWAY,
    METRICS,
    MTU,
    OIF,
    PREFSRC,
    PRIORITY,
    TABLE,
    RouteAnswer,
)
from cni_common.kernel.sockets import FAMILY
from cni_common.spec.errors import CNIError, Code, refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.kernel.route_answer import IPAddress, IPNetwork, KernelRoute

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
MAIN_TABLE, LOCAL_TABLE = 254, 255
SCOPE_UNIVERSE, SCOPE_LINK = 0, 253
_PROTOCOL_BOOT, _UNICAST = 3, 1
_ON_LINK = 4  # RTNH_F_ONLINK


class TakenError(CNIError):
    """The destination has a route already, which another was not to share."""


def addition(  # noqa: PLR0913 - the attributes of a route, most of them optional
    link: Link,
    dst: IPNetwork,
    gw: IPAddress | None = None,
    *,
    mtu: int = 0,
    advmss: int = 0,
    priority: int = 0,
    table: int | None = None,
    scope: int | None = None,
    source: IPAddress | None = None,
    exclusive: bool = False,
    on_link: bool = False,
) -> Change:
    """Return the change that adds the route through `link`.

    One that is there in every detail is accepted.

    With `on_link` the gateway is a neighbour though no route says so. A route to the
    same destination by another gateway becomes another path of it, or raises TakenError
    when the new one is to be `exclusive`; what else is refused raises Code.INTERNAL.
    Raises Code.INVALID_CONFIG at once for what no route can have.
    """
    _require_possible(dst, (gw, source), {"mtu": mtu, "advmss": advmss})
    _require_possible(dst, (), {"priority": priority, "table": table or 0})
    _require_possible(dst, (), {"scope": scope or 0}, bits=8)
    attributes = _where(link, dst, MAIN_TABLE if table is None else table)
    if gw is not None:
        attributes += attribute(GATEWAY, gw.packed)
    if source is not None:
        attributes += attribute(PREFSRC, source.packed)
    if priority:
        attributes += number(PRIORITY, priority)
    metrics = [number(k, v) for k, v in ((MTU, mtu), (ADVMSS, advmss)) if v]
    if metrics:
        attributes += attribute(METRICS, *metrics)
    message = RouteRequest(
        FAMILY[dst.version],
        attributes,
        length=dst.prefixlen,
        protocol=_PROTOCOL_BOOT,
        # As ip-route(8): without a gateway the destination is on the link.
        scope=scope if scope is not None else _scope(dst, gw),
        kind=_UNICAST,
        flags=_ON_LINK if on_link else 0,
    )

    def refusal(error: NetlinkError) -> CNIError | None:
        exists = error.errno == errno.EEXIST
        if exists and not exclusive:
            return None
        msg = f"add route {dst}{f' via {gw}' if gw else ''}: {error.strerror}"
        return (TakenError if exists else CNIError)(Code.INTERNAL, msg)

    shared = EXCLUSIVE if exclusive else APPEND
    return Change((message, RTM_NEWROUTE, CREATE | shared), refusal)


def _require_possible(
    dst: IPNetwork,
    addresses: Iterable[IPAddress | None],
    numbers: dict[str, int],
    bits: int = 32,
) -> None:
    for address in addresses:
        if address is not None and address.version != dst.version:
            msg = f"add route {dst} via {address}: these are two IP versions"
            raise CNIError(Code.INVALID_CONFIG, msg)
    for name, value in numbers.items():
        if not 0 <= value < 1 << bits:
            msg = f"add route {dst}: {name} {value} is not between 0 and"
            raise CNIError(Code.INVALID_CONFIG, f"{msg} {(1 << bits) - 1}")


def delete(netlink: Netlink, link: Link, dst: IPNetwork, *, priority: int = 0) -> None:
    """Delete the route to `dst` on `link` itself, of that `priority` if one is given.

    Raises Code.INTERNAL.
    """
    attributes = _where(link, dst, MAIN_TABLE)
    if priority:
        attributes += number(PRIORITY, priority)
    message = RouteRequest(
        FAMILY[dst.version],
        attributes,
        length=dst.prefixlen,
        scope=_scope(dst, None),
    )
    try:
        netlink.act((message, RTM_DELROUTE, 0))
    except NetlinkError as error:
        if error.errno not in {errno.ESRCH, errno.ENODEV}:
            raise refused(f"delete route {dst}", error) from error


def of_link(
    netlink: Netlink,
    link: Link,
    table: int | None = MAIN_TABLE,
    versions: Iterable[int] = (4, 6),
) -> list[KernelRoute]:
    """Return the routes of the IP `versions` through `link` in `table`; for CHECK.

    None is any table.
    """
    found = []
    where = number(OIF, link.index) + (number(TABLE, table) if table else b"")
    for family in map(FAMILY.__getitem__, versions):
        question = RouteRequest(family, where)
        try:
            answers = netlink.dump(question, RTM_GETROUTE, RouteAnswer)
        except NetlinkError as error:
            if error.errno == errno.ENOENT:  # the table has no route at all
                continue
            raise refused(f"list routes of table {table}", error) from error
        for answer in answers:
            found += [route for route in answer.routes if route.link == link.index]
    return found


def listed(netlink: Netlink) -> list[KernelRoute]:
    """Return every route of the host, in any table, of both families.

    For what happens seldom: a router has hundreds of thousands. Raises Code.INTERNAL.
    """
    found = []
    for family in FAMILY.values():
        try:
            answers = netlink.dump(RouteRequest(family), RTM_GETROUTE, RouteAnswer)
        except NetlinkError as error:
            raise refused("list routes", error) from error
        found += [route for answer in answers for route in answer.routes]
    return found


def _where(link: Link, dst: IPNetwork, table: int) -> bytes:
    address = attribute(DST, dst.network_address.packed)
    return address + number(OIF, link.index) + number(TABLE, table)


def _scope(dst: IPNetwork, gw: IPAddress | None) -> int:
    if gw is not None or dst.version == 6:  # noqa: PLR2004 - IPv6 has no such scope
        return SCOPE_UNIVERSE
    return SCOPE_LINK
