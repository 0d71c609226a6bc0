# SPDX-License-Identifier: Apache-2.0
"""What the kernel has of a network: one list a kind, of what is ours alone.

Routes are ours by their protocol, nexthops by protocol and number, and all that is on
the network's device. What another network of this node has stands apart.
"""

from __future__ import annotations

from cni_common.kernel import addresses, fdb, links, neighbours, nexthops
from cni_common.kernel import protocol_routes as routes
from cni_common.kernel.protocol_routes import LAST, ProtocolRoute
from cni_common.kernel.wireguards import Wireguard
from cni_common.spec.values import NamedTuple
from cnipy.net.dataplane.desired import METRIC, Route
from cnipy.net.dataplane.reach import is_in_pool
from cnipy.net.records import VXLAN, WIREGUARD

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cni_common.kernel.netlink import Netlink
    from cni_common.kernel.nexthops import Nexthop
    from cni_common.kernel.wireguards import Peer
    from cni_common.spec.fields import IPAddress, IPInterface, IPNetwork
    from cnipy.net.records import NetworkConfig

PROTOCOL = 78  # of routes and nexthops; rt_protos of iproute2 has no such number
FIRST_ID, LAST_ID = 0x4E000000, 0x4EFFFFFF  # of nexthops


class OnDevice(NamedTuple):
    """What is on the network's device, nothing where there is none."""

    addresses: frozenset[IPInterface] = frozenset()
    entries: Mapping[str, IPAddress] = {}
    neighbours: Mapping[IPAddress, str] = {}
    peers: Mapping[bytes, Peer] = {}


class Present(NamedTuple):
    """What is there, by what tells it apart from others of its kind.

    `strange` are routes of ours whose nexthop or metric is none that we give. Of the
    nexthops `ids` has those by which no route of another network leads, `doubles` those
    that say the same as one of them, and `used` every number that is not free.
    """

    device: OnDevice
    routes: dict[tuple[IPNetwork, int], Route]
    strange: list[ProtocolRoute]
    ids: dict[Nexthop, int]
    doubles: list[int]
    used: set[int]

    def standing(self) -> dict[IPNetwork, object]:
        """Return who gets the packets of each block now, as Reach.identity tells it."""
        found: dict[IPNetwork, object] = {}
        for (dst, _), route in self.routes.items():
            hop = route.nexthop
            if hop is not None and hop.tunnel is not None:
                found[dst] = hop.tunnel.destination
            elif hop is not None and hop.gateway is not None:
                known = self.device.neighbours
                found[dst] = known.get(hop.gateway, hop.gateway)
        for peer in self.device.peers.values():
            found.update(dict.fromkeys(peer.allowed, peer.key))
        return found


def read(netlink: Netlink, config: NetworkConfig, name: str) -> Present:
    """Return what there is of a network whose device is called `name`.

    Raises Code.INTERNAL.
    """
    every = nexthops.listed(netlink)
    listed = routes.listed(netlink, PROTOCOL)
    # Routes of two networks do not share one, or IPv6 takes the source of either.
    others = {each.nhid for each in listed if not is_in_pool(config, each.dst)}
    ids: dict[Nexthop, int] = {}
    doubles = []
    for each in every:
        if not is_ours(each) or each.id in others:
            continue
        if each.nexthop is None or each.nexthop in ids:
            doubles.append(each.id)
        else:
            ids[each.nexthop] = each.id
    known = {nhid: nexthop for nexthop, nhid in ids.items()}
    found: dict[tuple[IPNetwork, int], Route] = {}
    strange = []
    for route in listed:
        if not is_in_pool(config, route.dst):
            continue
        if _is_made_so(route, known):
            found[route.dst, route.metric] = Route(known.get(route.nhid), route.source)
        else:
            strange.append(route)
    return Present(
        device=_on_device(netlink, config, name),
        routes=found,
        strange=strange,
        ids=ids,
        doubles=doubles,
        used={each.id for each in every},
    )


def is_ours(listed: nexthops.Listed) -> bool:
    """Tell whether a nexthop is one of ours, of whatever network."""
    return listed.protocol == PROTOCOL and FIRST_ID <= listed.id <= LAST_ID


def _is_made_so(route: ProtocolRoute, known: dict[int, Nexthop]) -> bool:
    if route.metric == LAST:
        return not route.nhid
    return route.metric == METRIC and route.nhid in known


def _on_device(netlink: Netlink, config: NetworkConfig, name: str) -> OnDevice:
    link = links.get(netlink, name)
    if link is None:
        return OnDevice()
    held = (each.address for each in addresses.of_link(netlink, link))
    found = OnDevice(frozenset(each for each in held if not each.is_link_local))
    if config.backend == VXLAN:
        entries = fdb.listed(netlink, link.index)
        known = neighbours.permanent(netlink, link)
        found = found._replace(entries=entries, neighbours=known)
    if config.backend == WIREGUARD:
        with Wireguard() as wireguard:
            found = found._replace(peers=wireguard.device(name).peers)
    return found
