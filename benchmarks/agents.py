# SPDX-License-Identifier: Apache-2.0
"""Nodes with real agents on a real etcd, and what other eyes see of them."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from netns.net import machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.net.machines import Lan, Node

ETCD = machines.ETCD
wait_until = machines.wait_until

NETWORK = "apps"
POOLS = ("--pool", "10.64.0.0/16", "--block", "28", "--pool6", "fd00:64::/40")
_BLOCKS = 4  # one of each family, and a spare one
_FIRST = 11  # last part of a node's underlay address


@contextmanager
def network(lan: Lan, count: int, *words: str) -> Iterator[list[Node]]:
    """Give nodes that are in a network and know each other, with a container each."""
    nodes = [lan.node(_FIRST + number) for number in range(count)]
    nodes[0].ok("net", "create", NETWORK, *POOLS, *words)
    for each in nodes:
        each.start()
        each.ok("net", "join", NETWORK)
        each.container(NETWORK, "first")
    wait_until(lambda: all(len(told(x)["blocks"]) >= _BLOCKS for x in nodes), 60)
    wait_until(lambda: not unlike(nodes), 60)
    yield nodes


def told(node: Node) -> dict[str, list[str]]:
    """Return what a node says of the network."""
    (found,) = json.loads(node.cnipy("net", "status", "--json")[1])["networks"]
    return found  # type: ignore[no-any-return]


def unlike(nodes: list[Node]) -> list[str]:
    """Return what routes and nexthops lack, have twice, or have too much.

    That is one route to each block of each other node, and one nexthop a route's node
    and family; blocks are those that the nodes' own files have.
    """
    blocks = [
        json.loads(each.path(f"/var/lib/cnipy/net/{NETWORK}/blocks").read_text())
        for each in nodes
    ]
    found = []
    for number, node in enumerate(nodes):
        others = blocks[:number] + blocks[number + 1 :]
        due = sorted(block for each in others for block in each["blocks"])
        routes = ways(node)
        there = sorted(route["dst"] for route in routes)
        if there != due:
            found.append(f"{node.name}: routes {there}, and not {due}")
        used = {route["nhid"] for route in routes}
        ids = [each["id"] for each in _of_kernel(node, "nexthop")]
        if sorted(ids) != sorted(used) or len(ids) != 2 * len(others):
            found.append(f"{node.name}: nexthops {ids}, used {used}")
    return found


def ways(node: Node) -> list[dict[str, Any]]:
    """Return the routes to other nodes' blocks as the kernel has them."""
    return [
        route
        for version in "46"
        for route in _of_kernel(node, f"-{version}", "route")
        if route.get("type") != "unreachable"
    ]


def _of_kernel(node: Node, *what: str) -> list[dict[str, Any]]:
    """Return routes or nexthops of the suite as `ip -j` has them.

    With an encapsulation it has `dst` and `id` twice in one object: the first is the
    route's own.
    """
    printed = node.run("ip", "-j", *what, "show", "proto", "78")
    if not printed.strip():
        return []
    found = json.loads(printed, object_pairs_hook=lambda all_: dict(reversed(all_)))
    return list(found)


class Ledger:
    """Who lives by which address: from the end of its ADD to the begin of its DEL."""

    def __init__(self) -> None:
        self.twice: list[str] = []
        self.lost: list[str] = []
        self._living: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, container: str, found: list[str]) -> None:
        """Note who has which addresses by now."""
        with self._lock:
            for each in found:
                if each in self._living:
                    self.twice.append(f"{each}: {self._living[each]} and {container}")
                self._living[each] = container

    def remove(self, found: list[str]) -> None:
        """Note that nobody has them any more."""
        with self._lock:
            for each in found:
                del self._living[each]

    def compare(self, nodes: list[Node]) -> None:
        """Note who lives and has no lease: GC or an agent that ends took it."""
        leases = set()
        for node in nodes:
            at = node.path(f"/var/lib/cni/networks/{NETWORK}")
            leases |= {each.name.replace("_", ":") for each in at.iterdir()}
        self.lost += [each for each in self._living if each not in leases]


class Calls:
    """ADD and DEL of one container after the other on a node; the last few live."""

    def __init__(self, node: Node, ledger: Ledger, living: int = 20) -> None:
        self.node, self.ledger, self.living = node, ledger, living
        self.added, self.refused = 0, list[str]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Have no more of them; the last few go on living."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        living: list[tuple[str, list[str]]] = []
        for number in itertools.count():
            if self._over.is_set():
                return
            name = f"c{number}"
            self.node.run("ip", "netns", "add", name)
            status, printed, stderr = self.node.cnipy("add", NETWORK, name)
            if status:
                self.refused.append(stderr)
                self.node.run("ip", "netns", "del", name)
                continue
            ips = json.loads(printed)["ips"]
            found = [each["address"].partition("/")[0] for each in ips]
            self.ledger.add(f"{name} on {self.node.name}", found)
            self.added += 1
            living.append((name, found))
            if len(living) > self.living:
                self._end_one(*living.pop(0))

    def _end_one(self, name: str, found: list[str]) -> None:
        self.ledger.remove(found)
        self.node.ok("del", NETWORK, name)
        self.node.run("ip", "netns", "del", name)


class Pings:
    """Echo requests, ten a second, from one node's container to another's."""

    def __init__(self, source: Node, name: str, address: str) -> None:
        inside = ("ip", "netns", "exec", name, "busybox", "ping", "-i", "0.1")
        self._printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `end` does
        # In one process: what is interrupted is ping itself.
        words = source.words(*inside, address)
        self._process = subprocess.Popen(words, stdout=self._printed)

    def end(self) -> tuple[int, int]:
        """Return how many were sent, and how many were answered.

        The last one counts only if it was: ping may end between the two.
        """
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)
        with self._printed as printed:
            printed.seek(0)
            text = printed.read()
        answered = {*re.findall(r" seq=(\d+) ", text)}
        (found,) = re.findall(r"(\d+) packets transmitted", text)
        sent = int(found)
        return sent - (str(sent - 1) not in answered), len(answered)


def ring(nodes: list[Node]) -> list[Pings]:
    """Have each node's first container ask that of the next, by both families."""
    found = []
    for node, other in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        found += [Pings(node, "first", each) for each in addresses_of(other, "first")]
    return found


def addresses_of(node: Node, name: str) -> list[str]:
    """Return the addresses of a container."""
    (link,) = node.json("ip", "-n", name, "-j", "addr", "show", "dev", "eth0")
    return [each["local"] for each in link["addr_info"] if each["scope"] == "global"]


@contextmanager
def running(members: int = 1) -> Iterator[Lan]:
    """Give machines that see each other, with an etcd, and end them."""
    lan = machines.Lan()
    try:
        yield lan.with_etcd(members)
    finally:
        lan.close()
