# SPDX-License-Identifier: Apache-2.0
"""Each plugin called alone, beside a Python that does nothing."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import attach, single
from benchmarks.bench import rotated
from benchmarks.measurements import Name
from benchmarks.node import COLD, REFERENCE, SMALL, WARM, Node

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.watch import Answer

SECTION = "calls"
NOTHING, BARE = "ADD with nothing to do", "bare interpreter"
_PYTHON = os.environ.get("CNIPY_PYTHON", "/usr/bin/python3")
BARE_COMMAND = [_PYTHON, "-I", "-S", "-c", "pass"]


def measure(bench: Bench) -> None:
    """Note VERSION, ADD, CHECK and DEL of every plugin."""
    with ExitStack() as stack:
        nodes = bench.nodes(stack, (COLD, WARM, SMALL, REFERENCE))
        spaces = {}
        for node in nodes:
            attach.settle(node)
            (spaces[node],) = node.spaces(1)
        for number, node in enumerate(rotated(nodes, bench.rounds(20))):
            _round(bench, node, f"s{number}", spaces[node])


def _round(bench: Bench, node: Node, container: str, netns: str) -> None:
    def note(what: str, answer: Answer, who: str = node.who) -> None:
        bench.record(Name(SECTION, what, who), answer)

    if node.who == COLD:
        note(BARE, node.execute(BARE_COMMAND), "python")
    for plugin in single.PLUGINS:
        note(f"{plugin} {single.VERSION}", single.version(node, plugin))
        every = single.attach_and_detach(node, plugin, f"{container}-{plugin}", netns)
        for verb, answer in every:
            note(f"{plugin} {verb}", answer)
    note(NOTHING, single.nothing(node, f"{container}-nothing", netns))
