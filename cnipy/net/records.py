# SPDX-License-Identifier: Apache-2.0
"""What a store has of a network: its configuration, and a record a node.

Others wrote it. So it is checked as a whole before anything is made of it, and refused
by name: what, of whom, and why.
"""

from __future__ import annotations

import os

from cni_common import shapes
from cni_common.shapes import REQUIRED
from cni_common.spec import json_text
from cni_common.spec.values import dataclass
from cnipy.net import ranges
from cnipy.net.documents import VERSION, RecordError, members, read

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any, Self

    from cni_common.shapes import Table
    from cni_common.spec.fields import IPAddress, IPNetwork

CONTENT_MAX = 1 << 16  # bytes
HOST_GW, VXLAN, GPE, WIREGUARD = BACKENDS = ("host-gw", "vxlan", "gpe", "wireguard")
OPEN, SAME_BRIDGE, ISOLATED = POLICIES = ("open", "same-bridge", "isolated")
# UDP; host-gw has none.
PORTS = {HOST_GW: 0, VXLAN: 4789, GPE: 4790, WIREGUARD: 51820}
VNI_MAX = (1 << 24) - 1
NUMBER_MAX = 1 << 52  # of what counts on; JSON has twice as much exactly
_MTU_MIN = 1280  # RFC 8200, section 5


@dataclass(frozen=True)
class Pool:
    """Addresses of a family, given out in blocks of the prefix length `block`."""

    network: IPNetwork
    block: int

    def why_not(self, block: IPNetwork) -> str:
        """Return why `block` is none of the pool, or nothing."""
        if not ranges.contains(self.network, block):
            return f"{block} is outside of the pool {self.network}"
        if block.prefixlen != self.block:
            return f"{block} is no block: those of {self.network} are /{self.block}"
        return ""


@dataclass(frozen=True)
class NetworkConfig:
    """A network, as it was created.

    `pools` has one or two, of different families. `underlay` says where addresses of
    nodes may lie; empty, anywhere. An `mtu` of 0 comes from the underlay, and
    `forget_after` is in seconds, 0 for never. `generation` is new when what nodes know
    of each other has to be read anew, whatever number it has.
    """

    name: str
    backend: str
    pools: tuple[Pool, ...]
    vni: int
    port: int
    generation: str
    underlay: tuple[IPNetwork, ...] = ()
    domain: str = ""
    mtu: int = 0
    policy: str = OPEN
    forget_after: int = 0

    def pool(self, version: int) -> Pool | None:
        """Return the pool of an IP version."""
        return next((p for p in self.pools if p.network.version == version), None)

    def document(self) -> dict[str, Any]:
        """Return the configuration as JSON has it."""
        pools = [{"network": str(p.network), "block": p.block} for p in self.pools]
        return {
            "v": VERSION,
            "name": self.name,
            "backend": self.backend,
            "pools": pools,
            "vni": self.vni,
            "port": self.port,
            "underlay": [str(each) for each in self.underlay],
            "domain": self.domain,
            "mtu": self.mtu,
            "policy": self.policy,
            "forgetAfter": self.forget_after,
            "generation": self.generation,
        }

    def content(self) -> bytes:
        """Return the configuration as the store has it."""
        return json_text.dumps(self.document()).encode()

    @classmethod
    def parse(cls, content: bytes, name: str) -> Self:
        """Return the configuration of the network `name`; raises RecordError."""
        what = f"configuration of network {name:.63}"
        found = members(read(content, what, CONTENT_MAX), _CONFIG, what)
        found["pools"] = tuple(Pool(**each) for each in found["pools"])
        found["forget_after"] = found.pop("forgetAfter")
        parsed = cls(**found)
        cause = "" if parsed.name == name else f"name: it is that of {parsed.name!r}"
        cause = cause or ranges.of_pools(parsed.pools) or _fits(parsed)
        if cause:
            raise RecordError(what, cause)
        return parsed


@dataclass(frozen=True)
class NodeRecord:
    """What a node says of itself in a network; nobody else writes it.

    `mac` is that of its VTEP (vxlan), `key` its public one (wireguard). `seq` grows
    with each writing, and `identity`, made when the node joined, tells nodes of one
    name apart. `head` is the highest number of a head that the node had seen.
    """

    node: str
    underlay: tuple[IPAddress, ...]
    blocks: tuple[IPNetwork, ...] = ()
    mac: str = ""
    key: str = ""
    seq: int = 0
    identity: str = ""
    head: int = 0

    def document(self) -> dict[str, Any]:
        """Return the record as JSON has it; what is empty is left out."""
        every = {
            "v": VERSION,
            "node": self.node,
            "underlay": [str(each) for each in self.underlay],
            "blocks": [str(each) for each in self.blocks],
            "mac": self.mac,
            "key": self.key,
            "seq": self.seq,
            "identity": self.identity,
            "head": self.head,
        }
        return {name: value for name, value in every.items() if value}

    def content(self) -> bytes:
        """Return the record as the store has it."""
        return json_text.dumps(self.document()).encode()

    @classmethod
    def parse(
        cls,
        content: bytes,
        node: str,
        config: NetworkConfig,
        own: Collection[IPAddress] = (),
    ) -> Self:
        """Return the record of `node` in a network; raises RecordError.

        `own` are underlay addresses of this node, which no other has.
        """
        document = read(content, _of_node(node, config), CONTENT_MAX)
        return cls.of(document, node, config, own)

    @classmethod
    def of(
        cls,
        document: object,
        node: str,
        config: NetworkConfig,
        own: Collection[IPAddress] = (),
    ) -> Self:
        """Return the record in a document of JSON; raises RecordError, as `parse`."""
        what = _of_node(node, config)
        parsed = cls(**members(document, _NODE, what))
        cause = "" if parsed.node == node else f"node: it is that of {parsed.node!r}"
        cause = cause or _at_home(parsed, config, own) or _reachable(parsed, config)
        if cause:
            raise RecordError(what, cause)
        return parsed


def new_identity() -> str:
    """Return what no other node or generation has."""
    return os.urandom(16).hex()


def is_label(name: str) -> bool:
    """Tell whether a node or a network can have that name: a label of the DNS, in lower
    case, for names of networks are compared by the byte.
    """
    try:
        return ranges.label(name) == name
    except ValueError:
        return False


def _of_node(node: str, config: NetworkConfig) -> str:
    # What is no name may have line ends, and goes to logs and terminals.
    shown = node if is_label(node) else ascii(node[:63])
    return f"record of node {shown} in network {config.name}"


def _fits(config: NetworkConfig) -> str:
    """Return which keys of a configuration do not go together, or nothing."""
    if bool(config.port) != bool(PORTS[config.backend]):
        return f"port: {config.port} is none of backend {config.backend}"
    if config.mtu and config.mtu < _MTU_MIN:
        return f"mtu: {config.mtu} is less than {_MTU_MIN}"
    for pool in config.pools:
        for underlay in config.underlay:
            if pool.network.overlaps(underlay):
                return f"underlay: {underlay} overlaps the pool {pool.network}"
    return ""


def _at_home(
    record: NodeRecord, config: NetworkConfig, own: Collection[IPAddress]
) -> str:
    """Return which address or block is not the node's to have, or nothing."""
    networks = [pool.network for pool in config.pools]
    for address in record.underlay:
        if address in own:
            return f"underlay: {address} is this node's own"
        cause = ranges.of_underlay(address, config.underlay, networks)
        if cause:
            return f"underlay: {cause}"
    for block in record.blocks:
        pool = config.pool(block.version)
        cause = pool.why_not(block) if pool else f"{block}: no pool of that family"
        if cause:
            return f"blocks: {cause}"
    return ""


def _reachable(record: NodeRecord, config: NetworkConfig) -> str:
    """Return what the network's backend lacks in a record, or nothing."""
    versions = {address.version for address in record.underlay}
    if not versions or len(versions) < len(record.underlay):
        return "underlay: one address a family, and one at least"
    if len(set(record.blocks)) < len(record.blocks):
        return "blocks: one is there twice"
    if config.backend == VXLAN and not record.mac:
        return "mac: it is missing, and the backend is vxlan"
    if config.backend == WIREGUARD and not record.key:
        return "key: it is missing, and the backend is wireguard"
    lacking = {block.version for block in record.blocks} - versions
    if config.backend == HOST_GW and lacking:
        return f"underlay: blocks of IPv{lacking.pop()} need such an address in host-gw"
    return ""


def _exact(value: object) -> int:
    if shapes.number(value) > NUMBER_MAX:
        raise ValueError(f"{value!r} is too large")
    return int(shapes.number(value))


def _port(value: object) -> int:
    return int(shapes.bits(16)(value))


_POOL: Table = {
    "network": (shapes.network, REQUIRED),
    "block": (shapes.bits(8), REQUIRED),
}
_CONFIG: Table = {
    "name": (ranges.label, REQUIRED),
    "backend": (ranges.one_of(BACKENDS), REQUIRED),
    "pools": (shapes.listed(shapes.table(_POOL)), REQUIRED),
    "vni": (ranges.within(1, VNI_MAX), REQUIRED),
    "port": (_port, REQUIRED),
    "underlay": (shapes.listed(shapes.network), NetworkConfig.underlay),
    "domain": (ranges.domain, NetworkConfig.domain),
    "mtu": (shapes.bits(16), NetworkConfig.mtu),
    "policy": (ranges.one_of(POLICIES), NetworkConfig.policy),
    "forgetAfter": (_exact, NetworkConfig.forget_after),
    "generation": (ranges.identity, REQUIRED),
}
_NODE: Table = {
    "node": (ranges.label, REQUIRED),
    "underlay": (shapes.listed(shapes.address), REQUIRED),
    "blocks": (shapes.listed(shapes.network), ()),
    "mac": (ranges.station, ""),
    "key": (ranges.public_key, ""),
    "seq": (_exact, 0),
    "identity": (ranges.identity, REQUIRED),
    "head": (_exact, 0),
}
