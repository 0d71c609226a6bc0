# SPDX-License-Identifier: Apache-2.0
"""Nodes of a network that do in turn what their agents do, by a clock of the test's."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from lab import PATIENCE

from cnipy.net import keys
from cnipy.net.documents import RecordError
from cnipy.net.membership import claims
from cnipy.net.membership.follower import Follower
from cnipy.net.membership.publisher import Publisher
from cnipy.net.records import NetworkConfig, NodeRecord, Pool, new_identity
from cnipy.net.store import Store, StoreError
from cnipy.net.store.file_store import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLL, KEEP = 5, 60  # seconds, of the agent
CONFIG = NetworkConfig(
    name="apps",
    backend="gpe",
    pools=(Pool(ip_network("10.64.0.0/10"), 26),),
    vni=7,
    port=4790,
    underlay=(ip_network("198.18.0.0/15"),),
    domain="apps",
    generation=new_identity(),
)


@dataclass
class Clock:
    """Seconds, whatever time it is."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Node:
    """An agent; `is_up` while it runs, `refusals` is what it was told."""

    store: Store
    clock: Callable[[], float]
    own: NodeRecord
    config: NetworkConfig = CONFIG
    is_up: bool = True
    goes_along: bool = True  # with another generation of the network
    lost: tuple[str, ...] = ()
    refusals: list[str] = field(default_factory=list)
    phase: int = 0

    def __post_init__(self) -> None:
        self.start(0)

    def start(self, seen: int | None = None) -> None:
        """Begin anew, with what a cache has."""
        known = self.follower.seen if seen is None else seen
        self.follower = Follower(self.store, self.config, self.own, known)
        self.publisher = Publisher(self.store, self.follower, self.clock)
        self.is_up = True

    def join(self, blocks: int = 1) -> None:
        """Be in the store, with blocks."""
        claims.register(self.store, self.config, self.own)
        for _ in range(blocks):
            block = claims.claim(self.store, self.config, self.own, 4)
            self.tell(blocks=(*self.own.blocks, block))
        claims.put(self.store, self.config, self.own)

    def tell(self, **changes: object) -> None:
        """Write the node's record anew."""
        self.own = replace(self.own, seq=self.own.seq + 1, **changes)
        claims.put(self.store, self.config, self.own)

    def keep(self) -> None:
        """Have the store say what it is to say, and drop what is lost."""
        entry = self.store.get(keys.config(self.config.name))
        if entry and entry.value != self.config.content() and self.goes_along:
            self.config = NetworkConfig.parse(entry.value, self.config.name)
            self.publisher.close()
            self.start()
        seen = self.follower.seen if self.follower.is_put_back else 0
        own = replace(self.own, head=max(self.own.head, seen))
        kept = claims.keep(self.store, self.config, own)
        if kept.lost:
            self.lost += tuple(f"{b} {n}" for b, n in kept.lost.items())
            self.own = kept.own

    def second(self) -> None:
        """Do what is to be done in a second."""
        if not self.is_up:
            return
        try:
            self.phase += 1
            self.follower.own = self.own
            if self.phase % POLL == 0:
                self.follower.poll()
                if self.follower.is_put_back or self.follower.is_anew:
                    self.keep()
            if self.phase % KEEP == 0:
                self.keep()
            self.publisher.turn()
        except (RecordError, StoreError) as error:
            self.refusals.append(str(error))

    @property
    def sees(self) -> dict[str, NodeRecord]:
        """Whom the node knows; which head they had seen, nobody needs to know."""
        return {
            name: replace(record, head=0)
            for name, record in self.follower.peers.items()
        }


@dataclass
class Nodes:
    """A network of nodes, and the time."""

    store: Store
    clock: Clock
    nodes: list[Node] = field(default_factory=list)

    def create(self) -> None:
        """Have the network be there."""
        self.store.create(keys.config("apps"), CONFIG.content())

    def add(self, name: str = "", blocks: int = 1) -> Node:
        """Return a new node that has joined."""
        number = len(self.nodes) + 1
        address = ip_address("198.18.0.0") + number
        own = NodeRecord(name or f"n{number}", (address,), identity=new_identity())
        node = Node(self.store, self.clock, own, phase=3 * number % POLL)
        node.join(blocks)
        self.nodes.append(node)
        return node

    def go(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.clock.now += 1
            for node in self.nodes:
                node.second()

    @property
    def publishers(self) -> list[Node]:
        """Who publishes."""
        return [node for node in self.nodes if node.is_up and node.publisher.is_ours]

    def check(self) -> None:
        """Every node that is up knows every other one as it is."""
        all_of_them = {node.own.node: replace(node.own, head=0) for node in self.nodes}
        for node in self.nodes:
            if node.is_up:
                others = {**all_of_them}
                del others[node.own.node]
                assert node.sees == others, node.own.node


def network_in(directory: Path) -> Nodes:
    """Return a network without nodes, whose store is in a directory."""
    clock = Clock()
    made = Nodes(FileStore(str(directory / "s"), create=True, clock=clock), clock)
    made.create()
    return made


def go_until_known(net: Nodes) -> None:
    """Let the nodes' time pass until all know each other.

    etcd's leases run by the clock of the machine, and nodes' seconds by none: who
    publishes may change meanwhile.
    """
    until = time.monotonic() + 20 * PATIENCE
    while True:
        net.go(2 * POLL)
        try:
            net.check()
        except AssertionError:
            if time.monotonic() > until:
                raise
        else:
            return
