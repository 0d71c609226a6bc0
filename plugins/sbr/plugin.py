# SPDX-License-Identifier: Apache-2.0
"""sbr: what the container sends from addresses of an interface leaves by that one."""

from __future__ import annotations

from ipaddress import ip_network

from cni_common import previous, routing_tables
from cni_common.attachment import chained
from cni_common.attachment.chained import Scheme
from cni_common.kernel import rules, saved_routes
from cni_common.kernel.netlink import Netlink
from cni_common.kernel.routes import MAIN_TABLE
from cni_common.kernel.saved_routes import SavedRoute
from cni_common.parts.source_routed import SourceRouted
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from plugins import REGISTER
from plugins.sbr.conf import SbrConf, Wanted

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cni_common.attachment.chained import Parts
    from cni_common.attachment.node import Node
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPAddress, IPNetwork
    from cni_common.spec.request import Request
    from cni_common.spec.result import IP

NAME = "sbr"
_FIRST_TABLE = 100
_ANYWHERE = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
_NEIGHBOURS = ip_network("fe80::/64")


@dataclass(frozen=True)
class Facts:
    """Index of the link, its addresses, its routes in main, and tables for them."""

    index: int
    ips: tuple[IP, ...]
    routes: tuple[SavedRoute, ...]
    tables: tuple[int, ...]


def wished(request: Request, conf: SbrConf) -> Wanted:
    """Return what is asked for; raises Code.INVALID_CONFIG."""
    del request
    return conf.wanted()


def facts(node: Node, request: Request, wanted: Wanted, made: Parts) -> Facts:
    """Return what there is, or what an earlier ADD found and chose.

    Raises Code.INVALID_CONFIG where prevResult has no address, and Code.INTERNAL.
    """
    result = previous.required(request)
    ips = tuple(i for i in result.ips if previous.is_of_container(request, result, i))
    what = f"route by source of {request.ifname}"
    if not ips:
        msg = f"{what}: prevResult has no address of it"
        raise CNIError(Code.INVALID_CONFIG, msg)
    if request.command == "CHECK" and not made:
        raise CNIError(Code.INTERNAL, f"{what}: missing record of ADD")
    link = node.end(request.ifname)
    if wanted.table:
        if wanted.gateways or wanted.hints:
            request.log.warning("gateways and addSourceHints are not for a given table")
        return Facts(link.index, ips, (), ())
    routing_tables.take_turn(node)
    own = [p for p in made if isinstance(p, SourceRouted) and p.index == link.index]
    if own and own[0].own_tables:
        chosen = tuple(dict.fromkeys(own[0].tables))
        return Facts(link.index, ips, own[0].before, _enough(node, ips, wanted, chosen))
    found = saved_routes.of_link(node.container, link)
    # The main table keeps what is a matter of the link itself.
    moved = [r for r in found if r.table == MAIN_TABLE and not r.is_link_local]
    return Facts(link.index, ips, tuple(moved), _enough(node, ips, wanted))


def plan(attachment: Attachment, wanted: Wanted, known: Facts) -> Parts:
    """Return the one part: rules from each address, and the routes in their tables."""
    slots = _slots(known.ips, wanted)
    routes: list[SavedRoute] = []
    tables: dict[IPAddress, int] = {}
    for ip in known.ips:
        slot = slots.get(_way(ip, wanted), 0)
        tables[ip.address.ip] = wanted.table or known.tables[slot]
    if not wanted.table:
        for (version, gateway), slot in slots.items():
            table = known.tables[slot]
            ways = _ways(known, wanted, version, gateway)
            routes += [way.moved(table, protocol=rules.PROTOCOL) for way in ways]
        routes += _hints(known) if wanted.hints else ()
    part = SourceRouted(
        inside=attachment.ifname,
        index=known.index,
        sources=tuple(tables),
        tables=tuple(tables.values()),
        own_tables=not wanted.table,
        before=known.routes,
        routes=tuple(dict.fromkeys(routes)),
    )
    return (part,)


def ready(request: Request, conf: SbrConf) -> None:
    """Raise Code.NOT_AVAILABLE unless the kernel has rules."""
    del request
    conf.wanted()
    with Netlink() as host:
        if not rules.listed(host):
            msg = "add rule: this kernel has none (CONFIG_IP_MULTIPLE_TABLES)"
            raise CNIError(Code.NOT_AVAILABLE, msg)


def _way(ip: IP, wanted: Wanted) -> tuple[int, IPAddress | None]:
    version = ip.address.version
    return version, wanted.gateways.get(version) or ip.gateway


def _slots(
    ips: Iterable[IP], wanted: Wanted
) -> dict[tuple[int, IPAddress | None], int]:
    """Return the number of the table of each gateway, by its version.

    Two versions share a table; two gateways of one do not. Addresses without one share
    the first.
    """
    found: dict[tuple[int, IPAddress | None], int] = {}
    ways = dict.fromkeys(_way(ip, wanted) for ip in ips)
    for version in _ANYWHERE:
        gateways = [gateway for each, gateway in ways if each == version]
        named = [gateway for gateway in gateways if gateway] or gateways[:1]
        found |= {(version, gateway): slot for slot, gateway in enumerate(named)}
    return found


def _enough(
    node: Node, ips: Iterable[IP], wanted: Wanted, chosen: tuple[int, ...] = ()
) -> tuple[int, ...]:
    """Return as many tables as are needed, first those that are `chosen`."""
    lacking = 1 + max(_slots(ips, wanted).values()) - len(chosen)
    return chosen + routing_tables.free(node, max(lacking, 0), _FIRST_TABLE)


def _ways(
    known: Facts, wanted: Wanted, version: int, gateway: IPAddress | None
) -> Iterator[SavedRoute]:
    """Yield what is to be in the table of a gateway, as it would be in the main one."""
    ips = [ip for ip in known.ips if ip.address.version == version]
    own = [ip.address.network for ip in ips if _way(ip, wanted)[1] in {gateway, None}]
    others = [ip.address.network for ip in ips if ip.address.network not in own]
    defaults = 0
    for route in known.routes:
        if route.dst.version != version:
            continue
        is_default = route.dst == _ANYWHERE[version]
        if is_default and gateway:
            is_own = route.gateways == [gateway]
            defaults += is_own
        else:
            is_own = not any(end in net for end in route.ends for net in others)
        if is_own:
            yield route
    if gateway and not defaults:
        outside = not any(gateway in ip.address.network for ip in ips)
        on_link = outside and not gateway.is_link_local
        yield SavedRoute.of(known.index, _ANYWHERE[version], gateway, on_link=on_link)
    if version == 6:  # noqa: PLR2004 - the family
        yield SavedRoute.of(known.index, _NEIGHBOURS)


def _hints(known: Facts) -> Iterator[SavedRoute]:
    """Yield the routes to the subnets, which say from where to send."""
    sources: dict[IPNetwork, IPAddress] = {}
    for ip in known.ips:
        if ip.address.network.num_addresses > 1:
            sources.setdefault(ip.address.network, ip.address.ip)
    for net, source in sources.items():
        found = [r for r in known.routes if r.dst == net and not r.has_gateway]
        route = found[0] if found else SavedRoute.of(known.index, net)
        yield route.moved(MAIN_TABLE, source=source)


PLUGIN = chained.plugin(
    Scheme(
        name=NAME,
        wished=wished,
        facts=facts,
        plan=plan,
        ready=ready,
        kinds=REGISTER[NAME]["kinds"],
        refusal="must be called as chained plugin",
    ),
    SbrConf,
)
