# SPDX-License-Identifier: Apache-2.0
"""New connections through a published port, and bytes over one of them.

A client's namespace, the node, a container's namespace: nothing leaves the machine.
The port is the newest of all, which is the last one of the reference's rules.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import attach, conf, seed
from benchmarks.bench import rotated, say
from benchmarks.measurements import BYTES, PER_SECOND, Name
from benchmarks.node import COLD, REFERENCE, CallError, Node
from benchmarks.steps.growth import fill
from benchmarks.watch import Answer

if TYPE_CHECKING:
    from benchmarks.bench import Bench

SECTION = "traffic"
CONNECT, STREAM = "connect", "stream"
LEVELS = (1, 1000, 5000)
_NODE, _CLIENT = "198.51.100.1", "198.51.100.2"
# Fewer in all rounds than a client has ports towards one address.
_WORKERS, _CONNECTIONS, _SECONDS = 4, 2200, 2.0
_SECONDS_TO_LISTEN = 5
_LINKS = f"""\
link add uplink type veth peer name eth0 netns client
addr add {_NODE}/24 dev uplink
link set uplink up
"""
_CLIENT_LINKS = f"""\
addr add {_CLIENT}/24 dev eth0
link set eth0 up
"""


class Published(NamedTuple):
    """A node with a client, and where the client finds the container."""

    node: Node
    load: str
    watch: str
    address: str

    def ask(self, operation: str, seconds: float, count: int) -> Answer:
        """Return what the client measured; raises CallError when it could not."""
        asked = {
            "Operation": operation,
            "Address": self.address,
            "Seconds": seconds,
            "Count": count,
            "Workers": min(_WORKERS, count),
        }
        client = ["nsenter", "--net=/run/netns/client", self.watch, ""]
        told = self.node.execute(client, json.dumps(asked)).output
        answer = Answer(**json.loads(told))
        if answer.error:
            raise CallError(f"{self.node.who} {operation}: {answer.error}")
        return answer


def measure(bench: Bench) -> None:
    """Note connections and bytes a second with few and with many other mappings."""
    # Data paths of cold and warm are the same: the rules are.
    with ExitStack() as stack:
        every = []
        for level in LEVELS[:2] if bench.quick else LEVELS:
            say(f"{SECTION}: {level} other mappings")
            nodes = bench.nodes(stack, (COLD, REFERENCE))
            every += [_published(bench, node, level) for node in nodes]
        bench.wait_for_quiet()
        seconds = 0.5 if bench.quick else _SECONDS
        for at in rotated(every, bench.rounds(12)):
            _measure(bench, at, CONNECT, seconds, _CONNECTIONS)
        for at in rotated(every, bench.rounds(3)):
            _measure(bench, at, STREAM, seconds, 1)


def _measure(
    bench: Bench, at: Published, what: str, seconds: float, count: int
) -> None:
    name = Name(SECTION, what, at.node.who, at.load)
    try:
        got = at.ask(what, seconds, count)
    except CallError as error:  # the other rounds are kept
        bench.note(f"{SECTION}: a round failed: {error}")
        return
    unit = PER_SECOND if what == CONNECT else BYTES
    bench.measurements.add(name, got.amount, unit=unit)


def _published(bench: Bench, node: Node, level: int) -> Published:
    attach.settle(node)
    fill(node, seed.MAPPINGS, level - 1)
    (netns,) = node.spaces(1)
    (place,) = next(attach.places([netns]))
    attach.call(node, attach.ADD, [place])
    node.run("ip", "netns", "add", "client")
    node.run("ip", "-batch", "-", text=_LINKS)
    node.run("ip", "-n", "client", "-batch", "-", text=_CLIENT_LINKS)
    watch = str(bench.watch)
    served = f"0.0.0.0:{conf.CONTAINER_PORT}"
    node.start("nsenter", f"--net={netns}", watch, "serve", served)
    found = Published(node, f"{level} mappings", watch, f"{_NODE}:{place.port}")
    _wait(found)
    return found


def _wait(at: Published) -> None:
    deadline = time.monotonic() + _SECONDS_TO_LISTEN
    while True:
        try:
            at.ask(CONNECT, 0.1, 1)
        except CallError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
