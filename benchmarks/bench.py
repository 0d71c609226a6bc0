# SPDX-License-Identifier: Apache-2.0
"""What the steps share: nodes of each kind, how often, and where the values go."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks import quiet
from benchmarks.node import COLD, NETAVARK, REFERENCE, SMALL, WARM, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import ExitStack

    from benchmarks.control_group import ControlGroup
    from benchmarks.measurements import Measurements, Name
    from benchmarks.watch import Answer

Item = TypeVar("Item")
# Seconds to wait for a quiet machine.
_PATIENCE, _PATIENCE_QUICK = 30, 3
PEER = Path("/usr/lib/cni")
EVERYBODY = (COLD, WARM, SMALL, REFERENCE, NETAVARK)


@dataclass
class Bench:
    """`quick` is for seeing that everything runs; its figures say little.

    `ours` has the packed file as a script, `small` as a program for this CPU, and is
    None where that was not built.
    """

    watch: Path
    ours: Path
    small: Path | None
    group: ControlGroup
    measurements: Measurements
    quick: bool
    notes: list[str]

    def directory(self, who: str) -> Path:
        """Return the plugin directory, which is CNI_PATH."""
        if who == SMALL and self.small:
            return self.small
        return PEER if who == REFERENCE else self.ours

    def rounds(self, full: int) -> int:
        """Return how often to measure what a full run measures `full` times."""
        return max(2, full // 10) if self.quick else full

    def node(self, stack: ExitStack, who: str) -> Node | None:
        """Return a node that ends with the stack, or None where it cannot be had."""
        if who == SMALL and not self.small:
            self.note("the small client was not built: ./build.sh bench --client")
            return None
        node = stack.enter_context(
            Node(who, self.directory(who), self.watch, self.group)
        )
        if who in {WARM, SMALL} and node.server is None:
            self.note(f"{who} rows are skipped: `cnipy serve` did not come up")
            return None
        return node

    def nodes(self, stack: ExitStack, whose: Iterable[str] = EVERYBODY) -> list[Node]:
        """Return a node for each of `whose` that can be had."""
        found = (self.node(stack, who) for who in whose)
        return [node for node in found if node is not None]

    def wait_for_quiet(self) -> None:
        """Have nothing of an earlier step, or of others, at work; or a note of it."""
        if not quiet.wait(_PATIENCE_QUICK if self.quick else _PATIENCE):
            self.note("the machine was not quiet: see how far the values spread")

    def record(self, name: Name, answer: Answer) -> None:
        """Note what a call cost, or once that it failed where that is allowed."""
        if answer.error:
            self.note(f"{name.section}: {name.what} by {name.who} fails")
        else:
            self.measurements.add(name, answer.wall, answer.cpu)

    def note(self, text: str) -> None:
        """Say something about the run, once, here and in the results."""
        if text not in self.notes:
            self.notes.append(text)
            say(text)


def rotated(items: Sequence[Item], rounds: int) -> Iterator[Item]:
    """Yield all items in each of the rounds, each round beginning with another one."""
    for number in range(rounds):
        start = number % len(items)
        yield from items[start:]
        yield from items[:start]


def say(text: str) -> None:
    """Tell who waits how it goes."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
