# SPDX-License-Identifier: Apache-2.0
"""What the kernel should have of a network: a function of the records alone.

A record that is at odds with another one, or cannot be used here, is left out by name.
"""

from __future__ import annotations

import ipaddress

from cni_common.kernel.protocol_routes import LAST
from cni_common.kernel.wireguards import Peer
from cni_common.spec.values import NamedTuple
from cnipy.net.dataplane import reach
from cnipy.net.dataplane.reach import Reach, UnreachableError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cni_common.kernel.nexthops import Nexthop
    from cni_common.spec.fields import IPAddress, IPInterface, IPNetwork
    from cnipy.net.dataplane.ground import Ground
    from cnipy.net.records import NetworkConfig, NodeRecord

# Behind all that an administrator or a routing daemon adds without thinking of a
# metric, so that theirs go first: 0 for IPv4, 1024 for IPv6, 20 by FRR.
METRIC = 2048


class Route(NamedTuple):
    """A route by a nexthop, with the node's own address of the network as source.

    Without a nexthop its destination is unreachable.
    """

    nexthop: Nexthop | None
    source: IPAddress | None = None


class Desired(NamedTuple):
    """All that is wanted, by what tells it apart from others of its kind.

    `nodes` says whose each block is; `skipped` names what is left out, and why.
    """

    addresses: frozenset[IPInterface]
    entries: dict[str, IPAddress]
    neighbours: dict[IPAddress, str]
    routes: dict[tuple[IPNetwork, int], Route]
    peers: dict[bytes, Peer]
    nodes: dict[IPNetwork, str]
    skipped: list[str]

    @property
    def nexthops(self) -> dict[Nexthop, None]:
        """The nexthops of the routes, in their order."""
        return dict.fromkeys(r.nexthop for r in self.routes.values() if r.nexthop)


NOTHING = Desired(frozenset(), {}, {}, {}, {}, {}, [])


def desired(
    config: NetworkConfig,
    own: NodeRecord,
    others: Iterable[NodeRecord],
    ground: Ground,
    standing: Mapping[IPNetwork, object],
) -> Desired:
    """Return what this node's kernel should have.

    Where two claim one thing, whoever has it in the kernel now keeps it, which
    `standing` tells by the block, and else the first by name.
    """
    skipped: list[str] = []
    reached = _reached(config, own, others, ground, skipped)
    reached = [_apart(each, ground, standing, skipped) for each in reached]
    chosen = _alone(own, ground, reached, standing, skipped)
    owners = _owners(config, own, chosen, standing, skipped)
    sources = {v: b.network_address for v, b in reach.first_blocks(own).items()}
    found = Desired(
        addresses=frozenset(ipaddress.ip_interface(a) for a in sources.values()),
        entries={},
        neighbours={},
        routes={(pool.network, LAST): Route(None) for pool in config.pools},
        peers={},
        nodes={},
        skipped=skipped,
    )
    for each in chosen:
        # In the order of the record: the first of them stands for the node.
        blocks = [block for block in each.blocks if owners.get(block) is each]
        for version, first in reach.first_of(blocks).items():
            hop = reach.nexthop(config, ground, each, first)
            route = Route(hop, sources.get(version))
            _add(found, each, [b for b in blocks if b.version == version], route)
        if each.key and blocks:
            address = next(iter(each.addresses.values()))
            allowed = frozenset(blocks)
            found.peers[each.key] = Peer(each.key, address, config.port, allowed)
    return found


def _add(found: Desired, each: Reach, blocks: list[IPNetwork], route: Route) -> None:
    """Add what leads to a node with `blocks`, all of one version."""
    for block in blocks:
        found.routes[block, METRIC] = route
        found.nodes[block] = each.node
    if each.mac:
        found.entries[each.mac] = each.addresses[int(blocks[0].version)]
        found.neighbours[blocks[0].network_address] = each.mac


def _reached(
    config: NetworkConfig,
    own: NodeRecord,
    others: Iterable[NodeRecord],
    ground: Ground,
    skipped: list[str],
) -> list[Reach]:
    """Return how the others are reached, as far as they are."""
    found = []
    for other in others:
        if other.node == own.node:
            if other.identity != own.identity:
                skipped.append(f"node {other.node}: another one has this node's name")
            continue
        try:
            found.append(reach.of_node(config, own, other, ground))
        except UnreachableError as error:
            skipped.append(f"node {other.node}: {error}")
    return found


def _apart(
    each: Reach,
    ground: Ground,
    standing: Mapping[IPNetwork, object],
    skipped: list[str],
) -> Reach:
    """Return how a node is reached without the blocks that something here reaches."""
    if not ground.wide:
        return each
    found = []
    for block in each.blocks:
        holder = None if block in standing else ground.holder(block)
        if holder is None:
            found.append(block)
        else:
            skipped.append(f"node {each.node}: {block} is in {holder} of this host")
    return each._replace(blocks=tuple(found))


def _alone(
    own: NodeRecord,
    ground: Ground,
    found: list[Reach],
    standing: Mapping[IPNetwork, object],
    skipped: list[str],
) -> list[Reach]:
    """Return those whose address, MAC and key nobody else has, in order of name.

    Of several those with most blocks in the kernel stay.
    """

    def rank(each: Reach) -> tuple[int, str]:
        stand = (standing.get(b) == each.identity(b.version) for b in each.blocks)
        return -sum(stand), each.node

    taken: dict[object, str] = dict.fromkeys(
        (*own.underlay, *ground.local), "this node"
    )
    taken |= {own.mac: "this node"} if own.mac else {}
    if own.key:
        taken[reach.raw_key(own.key)] = "this node"
    chosen = []
    for each in sorted(found, key=rank):
        marks: list[tuple[str, object]] = [
            ("underlay address", address) for address in each.addresses.values()
        ]
        marks += [("hardware address", each.mac)] if each.mac else []
        marks += [("key", each.key)] if each.key else []
        clash = next(((what, m) for what, m in marks if m in taken), None)
        if clash is None:
            taken.update((mark, f"node {each.node}") for _, mark in marks)
            chosen.append(each)
        else:
            what, mark = clash
            shown = f" {mark}" if what != "key" else ""
            skipped.append(f"node {each.node}: {taken[mark]} has its {what}{shown}")
    return sorted(chosen, key=lambda each: each.node)


def _owners(
    config: NetworkConfig,
    own: NodeRecord,
    chosen: list[Reach],
    standing: Mapping[IPNetwork, object],
    skipped: list[str],
) -> dict[IPNetwork, Reach]:
    """Return whose each block is."""
    claims: dict[IPNetwork, list[Reach]] = {}
    ours = set(own.blocks)
    for each in chosen:
        for block in each.blocks:
            pool = config.pool(block.version)
            cause = pool.why_not(block) if pool else f"{block} is of no pool"
            if not cause and block in ours:
                cause = f"{block} is this node's"
            if cause:
                skipped.append(f"node {each.node}: {cause}")
            else:
                claims.setdefault(block, []).append(each)
    owners = {}
    for block, every in claims.items():
        version = block.version
        stands = [e for e in every if standing.get(block) == e.identity(version)]
        owner = owners[block] = (stands or every)[0]
        skipped += [
            f"node {each.node}: {block} is of node {owner.node}"
            for each in every
            if each is not owner
        ]
    return owners
