# SPDX-License-Identifier: Apache-2.0
"""What ADD and DEL cost on a node that has much already.

All nodes of a kind, empty and full, are measured in the same rounds.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import attach, seed, single
from benchmarks.bench import rotated, say
from benchmarks.measurements import Name
from benchmarks.node import COLD, REFERENCE, WARM, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench
    from benchmarks.node import Place
    from benchmarks.watch import Answer

SECTION = "growth"
LEVELS = {
    seed.LEASES: (0, 1000, 5000, 20000, 60000),
    seed.MAPPINGS: (0, 1000, 5000, 20000, 60000),
    seed.CONTAINERS: (0, 900),
}
_QUICK = {
    seed.LEASES: (0, 1000, 5000),
    seed.MAPPINGS: (0, 1000),
    seed.CONTAINERS: (0, 900),
}
# What is measured alone beside the chain: what the kind is about.
ALONE = {seed.LEASES: "host-local", seed.MAPPINGS: "portmap"}
MOST_RULES = 5000


class Loaded(NamedTuple):
    """A node with a load, and what to attach on it."""

    node: Node
    load: str
    netns: str
    waiting: Iterator[list[Place]]


def measure(bench: Bench) -> None:
    """Note ADD and DEL of one container at every level of every kind."""
    bench.note(
        f"growth: the reference is measured up to {MOST_RULES:,} mappings only, where "
        "a call takes more than a second already"
    )
    for kind, levels in (_QUICK if bench.quick else LEVELS).items():
        bench.wait_for_quiet()
        with ExitStack() as stack:
            loaded = list(_loaded(bench, stack, kind, levels))
            for number, at in enumerate(loaded):
                _round(None, at, kind, f"w{number}")
            bench.wait_for_quiet()
            for number, at in enumerate(rotated(loaded, bench.rounds(4))):
                _round(bench, at, kind, f"g{number}")


def _loaded(
    bench: Bench, stack: ExitStack, kind: str, levels: tuple[int, ...]
) -> Iterator[Loaded]:
    for level in levels:
        say(f"{SECTION}: {level} {kind}")
        # A cold call costs a start more, which does not grow.
        whose = [COLD, WARM] if level in {levels[0], levels[-1]} else [WARM]
        if kind != seed.MAPPINGS or level <= MOST_RULES:
            whose.append(REFERENCE)
        for node in bench.nodes(stack, whose):
            attach.settle(node)
            fill(node, kind, level)
            (netns,) = node.spaces(1)
            yield Loaded(node, f"{level} {kind}", netns, attach.places([netns]))


def fill(node: Node, kind: str, count: int) -> None:
    """Have the node as if it had `count` more containers."""
    if count:
        words = (sys.executable, "-m", "benchmarks.seed", kind, node.who, str(count))
        node.run(*words)


def _round(bench: Bench | None, at: Loaded, kind: str, container: str) -> None:
    """Make the calls; without `bench` they only warm caches and indexes."""

    def note(what: str, answer: Answer) -> None:
        if bench is not None:
            bench.record(Name(SECTION, what, at.node.who, at.load), answer)

    place = next(at.waiting)
    for verb in (attach.ADD, attach.DEL):
        note(f"chain {verb}", attach.call(at.node, verb, place))
    alone = ALONE.get(kind)
    if alone:
        calls = single.attach_and_detach(at.node, alone, container, at.netns)
        for verb, answer in calls:
            if verb != attach.CHECK:
                note(f"{alone} {verb}", answer)
