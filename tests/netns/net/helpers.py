# SPDX-License-Identifier: Apache-2.0
"""Nodes as namespaces on one bridge, a container on each, and packets between them."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from lab import Host, Space, run

from cni_common.pool import held
from cnipy.net import dataplane
from cnipy.net.records import PORTS, NetworkConfig, NodeRecord, Pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cnipy.net.dataplane.watch import Watch

UNDERLAY = {4: "192.0.2", 6: "2001:db8::"}
POOLS = {4: Pool(ipaddress.ip_network("10.64.0.0/10"), 26)}
POOLS[6] = Pool(ipaddress.ip_network("fd00:64::/40"), 112)
OURS = ("proto", "78")  # of routes


def config(backend: str, **keys: Any) -> NetworkConfig:
    """Return a network of both families."""
    usual = {
        "name": "apps",
        "pools": tuple(POOLS.values()),
        "vni": 42,
        "port": PORTS[backend],
        "domain": "apps",
        "generation": "0" * 32,
    }
    return NetworkConfig(backend=backend, **{**usual, **keys})


def blocks(number: int, pools: Sequence[Pool] = tuple(POOLS.values())) -> Any:
    """Return the block with that number of each pool."""
    return tuple(
        ipaddress.ip_network(
            (
                int(pool.network.network_address)
                + (number << (pool.network.max_prefixlen - pool.block)),
                pool.block,
            )
        )
        for pool in pools
    )


def record(number: int, versions: Sequence[int] = (4, 6), **keys: Any) -> NodeRecord:
    """Return the record of the node with that number, from 1 on."""
    at = {4: f"{UNDERLAY[4]}.{number}", 6: f"{UNDERLAY[6]}{number:x}"}
    usual = {
        "node": f"node-{number}",
        "underlay": tuple(ipaddress.ip_address(at[v]) for v in versions),
        "blocks": blocks(number),
        "mac": f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
        "identity": f"{number:032x}",
    }
    return NodeRecord(**{**usual, **keys})


@dataclass
class Node:
    """A node: its namespace, its record, and a container's namespace on its bridge."""

    space: Space
    record: NodeRecord
    container: Space
    keys: Path

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the test on the node, with the files of its own."""
        before, held.ROOT = held.ROOT, str(self.keys)
        try:
            with self.space.entered():
                yield
        finally:
            held.ROOT = before

    def prepare(self, net: NetworkConfig) -> dataplane.Facts:
        """Prepare the network, and put what others have to know into the record."""
        with self.entered():
            facts = dataplane.prepare(net, self.record)
        self.record = replace(self.record, mac=facts.mac, key=facts.key)
        return facts

    def apply(
        self,
        net: NetworkConfig,
        others: Sequence[NodeRecord],
        watch: Watch | None = None,
        **keys: bool,
    ) -> list[str]:
        """Have the node know others; return all that is told of it."""
        with self.entered():
            done, lacking, outrun = dataplane.apply(
                net, self.record, others, watch, **keys
            )
        return [*done, *lacking, *outrun]

    def remove(self, net: NetworkConfig) -> None:
        """Have the node leave the network."""
        with self.entered():
            dataplane.remove(net)

    def address(self, version: int, last: int = 2) -> str:
        """Return an address of its first block; 2 is the container's, 0 its own."""
        block = next(b for b in self.record.blocks if b.version == version)
        return str(block[last])

    def attach(self, mtu: int, number: int = 0) -> None:
        """Attach the container to a bridge with the gateways of the first blocks."""
        inside = self.container.name
        here = [
            f"link add br{number} mtu {mtu} type bridge",
            (
                f"link add veth{number} mtu {mtu} up master br{number} type veth "
                f"peer name eth0 mtu {mtu} netns {inside}"
            ),
            f"link set br{number} up",
        ]
        there = ["link set lo up", "link set eth0 up"]
        for block in self.record.blocks:
            gateway, address, length = block[1], block[2], block.prefixlen
            here.append(f"addr add {gateway}/{length} dev br{number} {no_dad(gateway)}")
            there.append(f"addr add {address}/{length} dev eth0 {no_dad(address)}")
            there.append(f"route add default via {gateway}")
        batch(self.space, here)
        batch(self.container, there)

    def counted(self, name: str) -> int:
        """Return a counter of the node, of both families (nstat(8))."""
        text = self.space.run("nstat", "-asz", f"Ip{name}", f"Ip6{name}")
        return sum(int(line.split()[1]) for line in text.splitlines()[1:])


def nodes(
    host: Host,
    tmp_path: Path,
    count: int = 2,
    versions: Sequence[int] = (4, 6),
    mtu: int = 1500,
) -> list[Node]:
    """Return nodes on one bridge, that of the test's own namespace."""
    lines = [f"link add wire mtu {mtu} type bridge", "link set wire up"]
    found = []
    for number in range(1, count + 1):
        space, container = host.space("node"), host.space()
        for each in (space, container):
            # Or a link-local address asks for no neighbour for more than a second.
            each.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        lines.append(
            f"link add wire{number} mtu {mtu} up master wire type veth "
            f"peer name eth0 mtu {mtu} netns {space.name}"
        )
        node = Node(space, record(number, versions), container, tmp_path / str(number))
        found.append(node)
    batch(None, lines)
    for node in found:
        strict = [f"net.ipv4.conf.{of}.rp_filter=1" for of in ("all", "default")]
        node.space.run("sysctl", "-qw", *strict)
        lines = ["link set lo up", "link set eth0 up"]
        for address in node.record.underlay:
            length = {4: 24, 6: 64}[address.version]
            lines.append(f"addr add {address}/{length} dev eth0 {no_dad(address)}")
        batch(node.space, lines)
    return found


def batch(space: Space | None, lines: Sequence[str]) -> None:
    """Run commands of ip(8) in a namespace, or in the test's own."""
    at = ("-n", space.name) if space else ()
    run("ip", *at, "-batch", "-", input="\n".join(lines))


def no_dad(address: Any) -> str:
    """Return what has an address of IPv6 usable at once."""
    return "nodad" if address.version == 6 else ""


def join(net: NetworkConfig, every: Sequence[Node]) -> int:
    """Have all nodes in the network, with a container each; return its MTU."""
    facts = [node.prepare(net) for node in every]
    for node in every:
        node.attach(facts[0].mtu)
    known(net, every)
    return facts[0].mtu


def known(net: NetworkConfig, every: Sequence[Node]) -> None:
    """Have each node know all others."""
    for node in every:
        said = node.apply(net, [each.record for each in every if each is not node])
        assert not [line for line in said if line.startswith(("skipped", "refused"))]


def connects(source: Space, target: Space, address: str) -> str:
    """Return which address a TCP connection from `source` to `target` came from."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with target.entered():
        server = socket.create_server((address, 0), family=family)
    at = server.getsockname()[:2]
    with server, source.entered(), socket.create_connection(at, timeout=5) as client:
        server.settimeout(5)
        accepted, sender = server.accept()
        with accepted:
            client.sendall(b"x" * 100_000)
            client.shutdown(socket.SHUT_WR)
            received = 0
            while data := accepted.recv(1 << 16):
                received += len(data)
    assert received == 100_000
    return str(sender[0])


class Datagrams:
    """UDP from one container to another, never in fragments of the sender's."""

    def __init__(self, source: Space, target: Space, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with target.entered():
            self.receiver = socket.socket(family, socket.SOCK_DGRAM)
            self.receiver.bind((address, 0))
            self.receiver.settimeout(2)
        with source.entered():
            self.sender = socket.socket(family, socket.SOCK_DGRAM)
            # IP_MTU_DISCOVER and IPV6_MTU_DISCOVER: IP_PMTUDISC_DO
            level, option = (41, 23) if family == socket.AF_INET6 else (0, 10)
            self.sender.setsockopt(level, option, 2)
            self.sender.connect(self.receiver.getsockname()[:2])
        self.headers = 48 if family == socket.AF_INET6 else 28

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.sender.close()
        self.receiver.close()

    def passes(self, size: int) -> bool:
        """Tell whether a packet of `size` bytes, headers and all, arrives."""
        self.sender.send(b"x" * (size - self.headers))
        return len(self.receiver.recv(1 << 16)) == size - self.headers
