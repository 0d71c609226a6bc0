# SPDX-License-Identifier: Apache-2.0
"""A hundred containers that come at once, and go at once."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import attach
from benchmarks.bench import rotated
from benchmarks.measurements import Name
from benchmarks.node import COLD, REFERENCE, WARM

if TYPE_CHECKING:
    from benchmarks.bench import Bench

SECTION = "at once"
CONTAINERS = 100


_ROUNDS = 3
_QUICK_CONTAINERS = 10


def measure(bench: Bench) -> None:
    """Note how long until the last of them has its network, and until none has."""
    count = _QUICK_CONTAINERS if bench.quick else CONTAINERS
    with ExitStack() as stack:
        nodes = bench.nodes(stack, (COLD, WARM, REFERENCE))
        waiting = {}
        for node in nodes:
            attach.settle(node)
            waiting[node] = attach.places(node.spaces(count))
        bench.wait_for_quiet()
        for node in rotated(nodes, 1 if bench.quick else _ROUNDS):
            places = next(waiting[node])
            for verb in (attach.ADD, attach.DEL):
                answer = attach.call(node, verb, places)
                bench.record(Name(SECTION, f"{count} {verb}", node.who), answer)
