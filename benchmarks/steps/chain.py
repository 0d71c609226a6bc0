# SPDX-License-Identifier: Apache-2.0
"""The whole network: bridge with masquerading and host-local, portmap with a port."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import attach
from benchmarks.bench import rotated
from benchmarks.measurements import Name

if TYPE_CHECKING:
    from benchmarks.bench import Bench

SECTION = "chain"


def measure(bench: Bench) -> None:
    """Note ADD, CHECK and DEL of one container after another."""
    with ExitStack() as stack:
        nodes = bench.nodes(stack)
        waiting = {}
        for node in nodes:
            attach.settle(node)
            waiting[node] = attach.places(node.spaces(1))
        for node in rotated(nodes, bench.rounds(30)):
            place = next(waiting[node])
            for verb in attach.verbs(node):
                answer = attach.call(node, verb, place)
                bench.record(Name(SECTION, verb, node.who), answer)
