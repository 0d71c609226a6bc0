# SPDX-License-Identifier: Apache-2.0
"""What a network stands on at this node: its device, and the underlay's links."""

from __future__ import annotations

from cni_common.kernel import addresses, links, route_get
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple
from cnipy.net import ranges
from cnipy.net.records import GPE, HOST_GW, VXLAN, WIREGUARD

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.fields import IPAddress, IPInterface, IPNetwork
    from cnipy.net.records import NetworkConfig, NodeRecord

# What a backend puts around a packet, in bytes, by the underlay's version of IP. VXLAN:
# IP, UDP, VXLAN and the inner Ethernet; GPE the same without Ethernet. WireGuard: IP,
# UDP, and 32 of its own.
ENCAPSULATION = {
    HOST_GW: {4: 0, 6: 0},
    VXLAN: {4: 20 + 8 + 8 + 14, 6: 40 + 8 + 8 + 14},
    GPE: {4: 20 + 8 + 8, 6: 40 + 8 + 8},
    WIREGUARD: {4: 20 + 8 + 32, 6: 40 + 8 + 32},
}
_LOOPBACK = "lo"
_MTU_MIN = {4: 576, 6: 1280}  # bytes: RFC 791, RFC 8200


class Uplink(NamedTuple):
    """A link of the underlay by its index: the node's `address` on it, and the network
    that it reaches without a gateway.
    """

    address: IPAddress
    network: IPNetwork
    link: int
    name: str
    mtu: int


class Ground(NamedTuple):
    """The network's device, 0 where there is none, and an uplink a version of IP.

    At `local` addresses, this host's on any link, no other node can be. `wide` are
    those whose subnets have several blocks of a pool: these are reached here.
    """

    device: int
    name: str
    uplinks: dict[int, Uplink]
    local: frozenset[IPAddress] = frozenset()
    wide: tuple[IPInterface, ...] = ()

    def holder(self, block: IPNetwork) -> IPInterface | None:
        """Return which of the `wide` has a block in its subnet."""
        holders = (e for e in self.wide if ranges.contains(e.network, block))
        return next(holders, None)


def device_name(config: NetworkConfig) -> str:
    """Return the name of the network's device."""
    return f"cnipy.{config.vni}"


def read(netlink: Netlink, config: NetworkConfig, own: NodeRecord) -> Ground:
    """Return the ground of a network.

    Raises Code.INVALID_CONFIG where this node lacks what its backend needs, and
    Code.INTERNAL where the kernel does not tell.
    """
    held = {int(a.version): a for a in own.underlay}
    for version in versions(config, own):
        if version not in held:
            msg = f"use network {config.name}: this node has no IPv{version} underlay "
            msg += f"address, which {config.backend} needs"
            raise CNIError(Code.INVALID_CONFIG, msg)
    name = device_name(config)
    link = links.get(netlink, name)
    used = {v: _uplink(netlink, held[v]) for v in versions(config, own)}
    return Ground(link.index if link else 0, name, used)


def with_host(ground: Ground, netlink: Netlink, config: NetworkConfig) -> Ground:
    """Return the ground with the addresses that the host has by now.

    Raises Code.INTERNAL.
    """
    held = [each.address for _, each in addresses.listed(netlink)]
    return ground._replace(
        local=frozenset(each.ip for each in held),
        wide=tuple(each for each in held if _is_wide(config, each)),
    )


def _is_wide(config: NetworkConfig, address: IPInterface) -> bool:
    subnet = address.network
    pool = config.pool(subnet.version)
    return pool is not None and (
        ranges.contains(pool.network, subnet) and subnet.prefixlen < pool.block
    )


def versions(config: NetworkConfig, own: NodeRecord) -> list[int]:
    """Return by which versions of IP this node reaches others, the first one first.

    A device of Ethernet VXLAN has one: that of the network's underlay. By host-gw each
    pool has its own.
    """
    if config.backend == VXLAN:
        allowed = config.underlay or own.underlay
        return [allowed[0].version]
    if config.backend == HOST_GW:
        return [pool.network.version for pool in config.pools]
    return [address.version for address in own.underlay]


def mtu(config: NetworkConfig, ground: Ground) -> int:
    """Return how long a packet of the network may be, in bytes.

    Raises Code.INVALID_CONFIG where the underlay does not carry what is asked for, or
    what IP needs.
    """
    around = ENCAPSULATION[config.backend]
    known = [u for u in ground.uplinks.values() if u.name != _LOOPBACK]
    if not known and not config.mtu:
        msg = f"find the MTU of network {config.name}: the underlay address is on lo"
        raise CNIError(Code.INVALID_CONFIG, msg, "give the network an MTU")
    fits = {u.mtu - around[u.address.version]: u for u in known}
    most = min(fits, default=config.mtu)
    wanted = config.mtu or most
    if wanted > most:
        name, whole = fits[most].name, fits[most].mtu
        msg = f"use MTU {wanted} of network {config.name}: {name} carries {most}"
        details = f"its MTU is {whole}, less {whole - most} of {config.backend}"
        raise CNIError(Code.INVALID_CONFIG, msg, details)
    least = max(_MTU_MIN[pool.network.version] for pool in config.pools)
    if wanted < least:
        msg = f"use MTU {wanted} of network {config.name}: its pools need {least}"
        raise CNIError(Code.INVALID_CONFIG, msg, "the underlay's MTU is too small")
    return wanted


def _uplink(netlink: Netlink, address: IPAddress) -> Uplink:
    name = route_get.holder(address)
    link = links.get(netlink, name) if name else None
    if link is not None:
        for held in addresses.of_link(netlink, link):
            if held.address.ip == address:
                network = held.address.network
                return Uplink(address, network, link.index, link.name, link.mtu)
    msg = f"find underlay address {address}: no link of this node has it"
    raise CNIError(Code.INVALID_CONFIG, msg)
