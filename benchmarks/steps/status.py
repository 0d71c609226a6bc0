# SPDX-License-Identifier: Apache-2.0
"""STATUS, which a runtime asks every few seconds whether containers come or not.

Debian's reference plugins do not know the verb. They are asked VERSION: what it costs
to start one of them, and to have it answer without having looked at anything.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import attach, single
from benchmarks.bench import rotated
from benchmarks.measurements import Name
from benchmarks.node import COLD, REFERENCE, SMALL, WARM

if TYPE_CHECKING:
    from benchmarks.bench import Bench

SECTION = "status"
VERSION_OF_REFERENCE = f"{REFERENCE}, {single.VERSION}"


def measure(bench: Bench) -> None:
    """Note STATUS of every plugin that has something to look at."""
    with ExitStack() as stack:
        nodes = bench.nodes(stack, (COLD, WARM, SMALL, REFERENCE))
        for node in nodes:
            attach.settle(node)
        bench.wait_for_quiet()
        for node in rotated(nodes, bench.rounds(20)):
            reference = node.who == REFERENCE
            ask = single.version if reference else single.status
            who = VERSION_OF_REFERENCE if reference else node.who
            for plugin in single.ASKED:
                bench.record(Name(SECTION, plugin, who), ask(node, plugin))
