# SPDX-License-Identifier: Apache-2.0
"""Nodes with a pool in common, on which writers call cluster-pool at once.

Each node has its directories, and an agent that claims blocks in a store of all; a
writer is a process that attaches and detaches containers of its node by ADD and DEL
within it. Some calls are killed, in processes of their own. Who has an address is kept
in a ledger beside: a file for each, made by who was given the address.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import signal
import socketserver
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from cni_common import state
from cni_common.frame import skel
from cni_common.pool import asking, held
from cnipy.net.membership import claims
from cnipy.net.records import HOST_GW, NetworkConfig, NodeRecord, Pool, new_identity
from cnipy.net.store.file_store import FileStore
from plugins.cluster_pool.plugin import PLUGIN

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = "apps"
# A block has 29 addresses for containers.
_BLOCKS: dict[str, int] = {"10.64.0.0": 27, "fd00:64::": 123}
_LIVING = 24  # containers of a writer at once
_PATIENCE = 5.0  # seconds that a node's agent has to listen


def network(blocks: int) -> NetworkConfig:
    """Return a network with so many blocks of each family, a power of two."""
    bits = blocks.bit_length() - 1
    pools = (
        Pool(ip_network(f"{first}/{length - bits}"), length)
        for first, length in _BLOCKS.items()
    )
    return NetworkConfig(
        name=NETWORK,
        backend=HOST_GW,
        pools=tuple(pools),
        vni=1,
        port=0,
        generation=new_identity(),
    )


@dataclass
class Tally:
    """What a writer did, and what must not be."""

    calls: int = 0
    killed: int = 0
    twice: int = 0
    refused: list[str] = field(default_factory=list)
    # Container -> its addresses.
    living: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """A node below the directory `room`, where the others are, too."""

    room: Path
    number: int

    @property
    def own(self) -> Path:
        """The node's directory."""
        return self.room / f"node{self.number}"

    @property
    def leases(self) -> Path:
        """The directory of the network's leases."""
        return self.own / "networks" / NETWORK

    def enter(self) -> None:
        """Have this process be of the node."""
        held.ROOT = str(self.own / "net")
        asking.SOCKET = str(self.own / "net.sock")
        state.ROOT = str(self.own / "cni")

    def call(self, verb: str, container: str, **keys: Any) -> tuple[int, Any]:
        """Return status and document of a call in this process."""
        ipam = {"type": PLUGIN.name, "dataDir": str(self.own / "networks")}
        conf = {"cniVersion": "1.1.0", "name": NETWORK, "type": "bridge", "ipam": ipam}
        env = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": container,
            "CNI_IFNAME": "eth0",
            "CNI_NETNS": "/run/netns/absent",
            "CNI_PATH": "/nowhere",
        }
        stdin = io.BytesIO(json.dumps({**conf, **keys}).encode())
        stdout = io.BytesIO()
        streams = stdin, stdout, io.StringIO()
        status = skel.run(PLUGIN.name, lambda: PLUGIN, env, *streams)
        return status, json.loads(stdout.getvalue() or b"null")


class Agent(socketserver.UnixStreamServer):
    """Claims a block for each question, unless more are there than the asker saw."""

    request_queue_size = 128

    def __init__(self, node: Node, config: NetworkConfig) -> None:
        self.config = config
        self.pools = tuple(pool.network for pool in config.pools)
        node.own.mkdir(parents=True)
        node.enter()
        self.store = FileStore(str(node.room / "store"))
        self.record = NodeRecord(f"node{node.number}", (), identity=f"id{node.number}")
        held.write(NETWORK, held.Held(self.pools))
        super().__init__(asking.SOCKET, _Question)

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over a caller that was killed, or does not wait."""
        del request, client_address

    def give(self, version: int, seen: int) -> list[str]:
        """Return the blocks of a family, in the file; one more than were `seen`."""
        own = self.record.blocks
        if sum(block.version == version for block in own) <= seen:
            block = claims.claim(self.store, self.config, self.record, version)
            self.record = replace(self.record, blocks=(*own, block))
            held.write(NETWORK, held.Held(self.pools, self.record.blocks))
        return [str(each) for each in self.record.blocks if each.version == version]


class _Question(socketserver.StreamRequestHandler):
    server: Agent

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        blocks = self.server.give(asked["family"], asked["held"])
        self.wfile.write(json.dumps({"blocks": blocks}).encode() + b"\n")


class Writer:
    """Makes `calls` on a node, of which a `share` is killed."""

    def __init__(self, node: Node, name: str, calls: int, share: float) -> None:
        self.node, self.name, self.calls, self.share = node, name, calls, share
        self.ledger = node.room / "ledger"
        self.dice = random.Random(name)  # noqa: S311 - for the same calls in each run
        self.tally = Tally()
        self.pace = 1e-3  # seconds that a call takes here

    def work(self) -> Tally:
        """Make the calls."""
        made = 0
        while self.tally.calls < self.calls:
            living = self.tally.living
            full = len(living) >= _LIVING
            if living and (full or self.dice.random() < 0.45):  # noqa: PLR2004 - so that it fills
                self.detach(self.dice.choice([*living]))
            else:
                self.attach(f"{self.name}-{made}")
                made += 1
        return self.tally

    def attach(self, container: str) -> None:
        """Have a container attached, and its addresses in the ledger."""
        status, document = self.call("ADD", container)
        if status is None:
            if self.dice.random() < 0.5:  # noqa: PLR2004 - the others are left to GC
                self.call("DEL", container)
            return
        if status:
            self.tally.refused.append(json.dumps(document))
            return
        addresses = [each["address"].partition("/")[0] for each in document["ips"]]
        self.tally.living[container] = addresses
        for address in addresses:
            try:
                (self.ledger / address).touch(exist_ok=False)
            except FileExistsError:
                self.tally.twice += 1

    def detach(self, container: str) -> None:
        """Have nothing be the container's; of a killed DEL the rest is left to GC."""
        for address in self.tally.living.pop(container):
            (self.ledger / address).unlink(missing_ok=True)
        status, document = self.call("DEL", container)
        if status is None and self.dice.random() < 0.5:  # noqa: PLR2004 - as above
            status, document = self.call("DEL", container)
        if status:
            self.tally.refused.append(json.dumps(document))

    def call(self, verb: str, container: str) -> tuple[int | None, Any]:
        """Return status and document of a call; None if it was killed."""
        self.tally.calls += 1
        if self.tally.killed < self.share * self.tally.calls:
            return self.killed(verb, container)
        began = time.perf_counter()
        answer = self.node.call(verb, container)
        self.pace += (time.perf_counter() - began - self.pace) / 16
        return answer

    def killed(self, verb: str, container: str) -> tuple[int | None, Any]:
        """Call in a process that is killed at any time, unless it ends before."""
        after = self.dice.uniform(1e-5, self.pace)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.setitimer(signal.ITIMER_REAL, after)
            answer = self.node.call(verb, container)
            os.write(writing, json.dumps(answer).encode())
            os._exit(0)
        os.close(writing)
        with open(reading, "rb") as file:
            told = file.read()
        # SIGALRM ends a process that does not expect it, as SIGKILL does.
        if os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
            self.tally.killed += 1
            return None, None
        status, document = json.loads(told)
        return status, document


@dataclass(frozen=True)
class Outcome:
    """What became of it all; `seconds` of the calls, `cpu` of all their processes."""

    calls: int
    killed: int
    seconds: float
    cpu: float
    blocks: int
    refused: list[str]
    twice: int  # addresses that somebody had already
    outside: int  # addresses of no block of the node
    lost: int  # addresses of the living that no lease is of
    before_gc: int  # leases of containers that are gone
    leaked: int  # the same after GC


def run(  # noqa: PLR0913 - how much of each, by keyword
    room: Path, *, nodes: int, writers: int, calls: int, share: float, blocks: int
) -> Outcome:
    """Have writers make so many calls in all, collect, and look what is left.

    So few `blocks` that nodes want the same ones.
    """
    FileStore(str(room / "store"), create=True)
    (room / "ledger").mkdir()
    spent = _cpu()
    config = network(blocks)
    every = [Node(room, number) for number in range(nodes)]
    agents = [
        _child(lambda node=node: Agent(node, config).serve_forever()) for node in every
    ]
    try:
        for node in every:
            _await(node.own / "net.sock")
        began = time.perf_counter()
        tallies = _at_once(every, writers, calls, share)
        seconds = time.perf_counter() - began
    finally:
        for pid in agents:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    cpu = _cpu() - spent
    left = Counter[str]()
    for node in every:
        left.update(_collected(node, tallies[node.number :: nodes]))
    return Outcome(
        calls=sum(tally.calls for tally in tallies),
        killed=sum(tally.killed for tally in tallies),
        seconds=seconds,
        cpu=cpu,
        blocks=left["blocks"],
        refused=[text for tally in tallies for text in tally.refused],
        twice=sum(tally.twice for tally in tallies),
        outside=left["outside"],
        lost=left["lost"],
        before_gc=left["before_gc"],
        leaked=left["leaked"],
    )


def _collected(node: Node, tallies: list[Tally]) -> dict[str, int]:
    """Have GC told who lives on a node; return the node's part of an outcome."""
    node.enter()
    living = {name: own for tally in tallies for name, own in tally.living.items()}
    expected = {address for own in living.values() for address in own}
    before = len(_leased(node) - expected)
    valid = [{"containerID": each, "ifname": "eth0"} for each in living]
    node.call("GC", "gc", **{"cni.dev/valid-attachments": valid})
    left, found = _leased(node), held.read(NETWORK)
    blocks = found.blocks if found else ()
    return {
        "blocks": len(blocks),
        "outside": sum(not any(ip_address(a) in b for b in blocks) for a in left),
        "lost": len(expected - left),
        "before_gc": before,
        "leaked": len(left - expected),
    }


def _at_once(nodes: list[Node], writers: int, calls: int, share: float) -> list[Tally]:
    """Return what writers did, each in a process of its own, in turn on the nodes."""
    pipes = []
    for number in range(writers):
        node = nodes[number % len(nodes)]
        writer = Writer(node, f"w{number}", calls // writers, share)
        reading, writing = os.pipe()

        def work(writer: Writer = writer, writing: int = writing) -> None:
            writer.node.enter()
            with open(writing, "w", encoding="utf-8") as file:
                json.dump(vars(writer.work()), file)

        pipes.append((_child(work), reading))
        os.close(writing)
    tallies = []
    for pid, reading in pipes:
        with open(reading, encoding="utf-8") as file:
            tallies.append(Tally(**json.loads(file.read())))
        os.waitpid(pid, 0)
    return tallies


def _child(work: Any) -> int:
    """Have a process of its own do the work; return its number."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def _cpu() -> float:
    """Return the seconds of CPU of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _await(path: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)


def _leased(node: Node) -> set[str]:
    """Return the addresses that there is a lease of."""
    found = set()
    for name in os.listdir(node.leases):
        with suppress(ValueError):
            found.add(str(ip_address(name)))
    return found
