# SPDX-License-Identifier: Apache-2.0
"""Addresses and routes of the container's interface: as ADD sets them, as CHECK reads.

What later plugins of a chain may add, further addresses and routes, is accepted.
"""

from __future__ import annotations

from cni_common.kernel import addresses, ipv6, links, netns, routes, sysctl
from cni_common.kernel.routes import SCOPE_LINK
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from cni_common.attachment.node import Node
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Change, Netlink
    from cni_common.spec.fields import IPAddress, IPInterface, IPNetwork
    from cni_common.spec.result import IP, Result, Route

_SHARED = {routes.MAIN_TABLE, routes.LOCAL_TABLE}


def configure(  # noqa: PLR0913 - what differs between the plugins, by keyword
    side: Node,
    ifname: str,
    result: Result,
    *,
    link: Link | None = None,
    detect_duplicates: bool = False,
    await_carrier: Callable[[], object] | None = None,
    prefix_routes: bool = True,
    ignore_redirects: bool = False,
) -> None:
    """Set `ifname` in the container up, with the addresses and routes of `result`.

    They are usable on return. `link` is the interface if the caller has looked it up.
    The subnets are on the link, unless `prefix_routes` is false. With
    `detect_duplicates` the kernel asks the network first (RFC 4862), after
    `await_carrier` has returned, because a question that nobody can hear is not asked
    again; else all goes to the kernel at once, but for IPv6. With `ignore_redirects`
    the gateways' word that others are on the link is not taken. Raises Code.INTERNAL,
    and Code.INVALID_CONFIG as `additions` does.
    """
    ips = result.ips
    link = link or links.existing(side.container, ifname)
    up, outside = links.setting_up(ifname), gateways_outside(ips)
    wanted = addresses.additions(
        side.container,
        link,
        [ip.address for ip in ips],
        detect_duplicates=detect_duplicates,
        prefix_routes=prefix_routes,
    )
    routed = additions(link, result.routes, ips, on_link=outside)
    prepare(side, ifname, ips, detect_duplicates=detect_duplicates)
    if ignore_redirects:
        refuse_redirects(side, ifname)
    has_ipv6 = any(ip.address.version == 6 for ip in ips)  # noqa: PLR2004 - the family
    if not detect_duplicates and not has_ipv6:
        side.container.carry_out(up, *wanted, *routed)
        return
    # An IPv6 address works when a work queue has done its part, which has more to do
    # while the link is just coming up: a first packet would be lost.
    side.container.carry_out(up)
    if detect_duplicates and await_carrier is not None:
        await_carrier()
    side.container.carry_out(*wanted)
    if detect_duplicates and has_ipv6:
        with netns.entered(side.namespace):
            addresses.wait_usable(side.container, link)
    side.container.carry_out(*routed)


def prepare(
    side: Node,
    ifname: str,
    ips: Sequence[IP],
    *,
    detect_duplicates: bool = False,
) -> None:
    """Prepare `ifname` in the container for `ips`; raises Code.INTERNAL."""
    has_ipv6 = any(ip.address.version == 6 for ip in ips)  # noqa: PLR2004 - the family
    if ips:
        with netns.entered(side.namespace):
            _set_sysctls(ifname, detect_duplicates, has_ipv6=has_ipv6)


def refuse_redirects(side: Node, ifname: str) -> None:
    """Have the container send by its gateways whatever these say of neighbours.

    Raises Code.INTERNAL.
    """
    with netns.entered(side.namespace):
        # Of IPv4 either will do; other interfaces have their own.
        for name in ("all", ifname):
            sysctl.set_if_present(f"net/ipv4/conf/{name}/accept_redirects", "0")
        sysctl.set_if_present(f"net/ipv6/conf/{ifname}/accept_redirects", "0")


def ensure_subnets(netlink: Netlink, link: Link, held: Collection[IPInterface]) -> None:
    """Add the routes to the subnets of addresses that `link` has; raises Code.INTERNAL.

    The kernel adds these routes with an address, and never again.
    """
    sources: dict[IPNetwork, IPAddress] = {
        each.network: each.ip
        for each in held
        if each.version == 4  # noqa: PLR2004 - the family
    }
    for subnet in missing_subnets(netlink, link, held):
        source = sources.get(subnet)
        netlink.carry_out(routes.addition(link, subnet, source=source))


def missing_subnets(
    netlink: Netlink, link: Link, held: Collection[IPInterface]
) -> list[IPNetwork]:
    """Return the subnets of `held` to which `link` has no route, be it that of a VRF.

    Raises Code.INTERNAL.
    """
    wanted = dict.fromkeys(e.network for e in held if e.network.num_addresses > 1)
    versions = sorted({subnet.version for subnet in wanted})
    found = routes.of_link(netlink, link, None, versions)
    present = {each.dst for each in found if each.table != routes.LOCAL_TABLE}
    return [subnet for subnet in wanted if subnet not in present]


def gateways_outside(ips: Iterable[IP]) -> list[IPAddress]:
    """Return the gateways that are on the link, but in no subnet of it."""
    return [ip.gateway for ip in ips if ip.gateway is not None and is_outside(ip)]


def is_outside(ip: IP) -> bool:
    """Tell whether the gateway of `ip` is none of its subnet, but on the link."""
    return ip.gateway is not None and ip.gateway not in ip.address.network


def additions(
    link: Link,
    wanted: Iterable[Route],
    ips: Sequence[IP],
    *,
    on_link: Collection[IPAddress] = (),
) -> list[Change]:
    """Return the changes that add the routes `wanted` through `link`.

    The gateways `on_link` are neighbours there. Raises Code.INVALID_CONFIG for what no
    route can have, and for an IPv4 destination with bits behind the prefix length.
    Those of IPv6 are cut off: in both the kernel would do the same.
    """
    found = []
    for route in wanted:
        dst = route.dst.network
        if dst.version == 4 and route.dst.ip != dst.network_address:  # noqa: PLR2004 - the family
            msg = f"add route {route.dst}: it has bits behind its prefix length"
            raise CNIError(Code.INVALID_CONFIG, msg, f"the subnet is {dst}")
        hop = next_hop(route, ips)
        change = routes.addition(
            link,
            dst,
            hop,
            mtu=route.mtu,
            advmss=route.advmss,
            priority=route.priority,
            table=route.table,
            scope=route.scope,
            on_link=hop in on_link,
        )
        found.append(change)
    return found


def next_hop(route: Route, ips: Sequence[IP]) -> IPAddress | None:
    """Return the gateway of `route`: its own, else the first one of its family."""
    if route.gw is not None or route.scope == SCOPE_LINK:
        return route.gw
    for ip in ips:
        if ip.address.version == route.dst.version and ip.gateway is not None:
            return ip.gateway
    return None


def completed(shown: Iterable[Route], recorded: Iterable[Route]) -> list[Route]:
    """Return the routes of a result with the fields it cannot show before 1.1.0.

    `recorded` are the whole routes, as a record has them.
    """
    whole = {(route.dst, route.gw): route for route in recorded}
    return [whole.get((route.dst, route.gw), route) for route in shown]


def held(netlink: Netlink, link: Link) -> set[IPInterface]:
    """Return the addresses that `link` holds."""
    return {item.address for item in addresses.of_link(netlink, link)}


def check_addresses(inside: Netlink, link: Link, ips: Iterable[IP]) -> None:
    """Raise Code.INTERNAL for the first of `ips` that `link` lacks."""
    present = held(inside, link)
    for ip in ips:
        if ip.address not in present:
            msg = f"check interface {link.name}: it lacks {ip.address}"
            raise CNIError(Code.INTERNAL, msg)


def check_route(inside: Netlink, link: Link, route: Route, ips: Sequence[IP]) -> None:
    """Raise Code.INTERNAL unless `link` has `route` as one of `additions` adds it.

    Where no table was asked for, a later plugin may have moved it to one (sbr, vrf).
    """
    table = routes.MAIN_TABLE if route.table is None else route.table
    hop = next_hop(route, ips)
    version = route.dst.version
    for present in routes.of_link(inside, link, table, (version,)):
        if (
            present.dst == route.dst.network
            and (hop is None or present.gw == hop)
            and (not route.priority or present.priority == route.priority)
            and (not route.mtu or present.mtu == route.mtu)
            and (not route.advmss or present.advmss == route.advmss)
        ):
            return
    if route.table is None:
        for present in routes.of_link(inside, link, None, (version,)):
            if present.dst == route.dst.network and present.table not in _SHARED:
                return
    via = f" via {hop}" if hop else ""
    msg = f"check interface {link.name}: it lacks the route {route.dst}{via}"
    raise CNIError(Code.INTERNAL, msg)


def _set_sysctls(ifname: str, detect_duplicates: bool, *, has_ipv6: bool) -> None:  # noqa: FBT001 - private, one caller
    conf = f"net/ipv6/conf/{ifname}"
    sysctl.set_if_present(f"net/ipv4/conf/{ifname}/arp_notify", "1")
    sysctl.set_if_present(f"{conf}/accept_dad", "1" if detect_duplicates else "0")
    if detect_duplicates:
        sysctl.set_if_present(f"{conf}/enhanced_dad", "1")
    if has_ipv6:
        # Not without need: a bridge copies each announcement to each of its ports.
        sysctl.set_if_present(f"{conf}/ndisc_notify", "1")
        # Runtimes disable IPv6 in containers; `lo` needs it for the own addresses.
        ipv6.enable("lo")
        ipv6.enable(ifname)
        sysctl.set_if_present(f"{conf}/keep_addr_on_down", "1")
