# SPDX-License-Identifier: Apache-2.0
"""How a node is reached by each backend: what the kernel has to know of it."""

from __future__ import annotations

import binascii

from cni_common.kernel.nexthops import Nexthop, Tunnel
from cni_common.spec.values import NamedTuple
from cnipy.net import ranges
from cnipy.net.dataplane import ground as grounds
from cnipy.net.records import GPE, HOST_GW, VXLAN, WIREGUARD

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.spec.fields import IPAddress, IPNetwork
    from cnipy.net.dataplane.ground import Ground
    from cnipy.net.records import NetworkConfig, NodeRecord


class UnreachableError(Exception):
    """A node that its backend cannot reach; the text says why."""


class Reach(NamedTuple):
    """How `node` is reached: at which address, by the version of the pool.

    With `mac` it is a VTEP, with `key` a peer of WireGuard.
    """

    node: str
    blocks: tuple[IPNetwork, ...]
    addresses: dict[int, IPAddress]
    mac: str = ""
    key: bytes = b""

    def identity(self, version: int) -> object:
        """Return what tells from others who gets the packets of a version of IP."""
        return self.key or self.mac or self.addresses.get(version)


def of_node(
    config: NetworkConfig, own: NodeRecord, other: NodeRecord, ground: Ground
) -> Reach:
    """Return how `other` is reached; raises UnreachableError."""
    theirs = {int(address.version): address for address in other.underlay}
    for version, address in theirs.items():
        uplink = ground.uplinks.get(version)
        if uplink is not None and _is_everybodys(address, uplink.network):
            raise UnreachableError(f"{address} is all of {uplink.network}")
    if config.backend == HOST_GW:
        addresses = _neighbour(other, theirs, ground)
    else:
        known = [v for v in grounds.versions(config, own) if v in theirs]
        if not known:
            lacking = " or ".join(f"IPv{v}" for v in grounds.versions(config, own))
            raise UnreachableError(f"it has no underlay address of {lacking}")
        addresses = dict.fromkeys(first_blocks(other), theirs[known[0]])
    reach = Reach(other.node, other.blocks, addresses)
    if config.backend == VXLAN:
        if not other.mac:
            raise UnreachableError("it tells no hardware address of its VTEP")
        reach = reach._replace(mac=other.mac)
    if config.backend == WIREGUARD:
        if not other.key:
            raise UnreachableError("it tells no key")
        reach = reach._replace(key=raw_key(other.key))
    return reach


def nexthop(
    config: NetworkConfig, ground: Ground, reach: Reach, first: IPNetwork
) -> Nexthop:
    """Return by what a node's blocks of a version are reached, `first` before others.

    By Ethernet that has the address which stands for the node.
    """
    version = int(first.version)
    address = reach.addresses[version]
    if config.backend == HOST_GW:
        return Nexthop(version, ground.uplinks[version].link, address)
    if config.backend == VXLAN:
        return Nexthop(version, ground.device, first.network_address, on_link=True)
    if config.backend == GPE:
        source = ground.uplinks[int(address.version)].address
        return Nexthop(
            version, ground.device, tunnel=Tunnel(config.vni, source, address)
        )
    return Nexthop(version, ground.device)


def raw_key(key: str) -> bytes:
    """Return a public key of a record as the kernel has it."""
    return binascii.a2b_base64(key)


def first_blocks(record: NodeRecord) -> dict[int, IPNetwork]:
    """Return the first block of each version of IP, whose address is the node's own."""
    return first_of(record.blocks)


def first_of(blocks: Iterable[IPNetwork]) -> dict[int, IPNetwork]:
    """Return the first of `blocks` of each version of IP."""
    found: dict[int, IPNetwork] = {}
    for block in blocks:
        found.setdefault(int(block.version), block)
    return found


def _is_everybodys(address: IPAddress, network: IPNetwork) -> bool:
    """Tell whether whoever is on a network of IPv4 has what is sent to an address."""
    ends = {network.network_address, network.broadcast_address}
    return address.version == 4 and network.num_addresses > 2 and address in ends  # noqa: PLR2004 - RFC 3021


def _neighbour(
    other: NodeRecord, theirs: dict[int, IPAddress], ground: Ground
) -> dict[int, IPAddress]:
    """Return the addresses at which a node is on the same network as this one."""
    found = {}
    for version in first_blocks(other):
        uplink, address = ground.uplinks[version], theirs.get(version)
        if address is None:
            raise UnreachableError(f"it has no underlay address of IPv{version}")
        if address not in uplink.network:
            cause = f"{address} is not in {uplink.network} of {uplink.name}"
            raise UnreachableError(f"{cause}: host-gw reaches neighbours only")
        found[version] = address
    return found


def is_in_pool(config: NetworkConfig, dst: IPNetwork) -> bool:
    """Tell whether a destination is one of the network's."""
    return any(ranges.contains(pool.network, dst) for pool in config.pools)
