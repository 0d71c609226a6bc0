# SPDX-License-Identifier: Apache-2.0
"""How many instructions cold calls take, whatever else the machine does meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks import attach, callgrind, conf, single
from benchmarks.measurements import INSTRUCTIONS, Name
from benchmarks.node import COLD
from benchmarks.steps.calls import BARE, BARE_COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.bench import Bench
    from benchmarks.node import Node, Place
    from benchmarks.watch import Answer

SECTION = "instructions"
CHAINED = ("bridge", "portmap")
# Not in the chain that is measured, but in the one that Podman makes.
_BESIDE = ("firewall", "tuning")


def measure(bench: Bench) -> None:
    """Note ADD and DEL of the chain and of its parts, STATUS, VERSION, bare Python."""
    with ExitStack() as stack:
        node = bench.node(stack, COLD)
        assert node is not None
        room = Path(stack.enter_context(TemporaryDirectory(prefix="cnipy-callgrind-")))
        attach.settle(node)
        netns = node.spaces(1)
        first, second = (place for (place,) in islice(attach.places(netns), 2))
        # What a call does the first time only is not counted.
        for _ in _calls(node, first):
            pass
        found: Counter[tuple[str, str]] = Counter()
        for plugin, verb in _calls(node, second, callgrind.words(room)):
            found[plugin, verb] = callgrind.taken(room)
        node.execute([*callgrind.words(room), *BARE_COMMAND])
        _note(bench, BARE, callgrind.taken(room), who="python")
    for verb in (attach.ADD, attach.DEL):
        whole = sum(found[plugin, verb] for plugin in CHAINED)
        _note(bench, f"chain {verb}", whole)
    for (plugin, verb), count in found.items():
        _note(bench, f"{plugin} {verb}", count)


def _note(bench: Bench, what: str, count: int, who: str = COLD) -> None:
    bench.measurements.add(Name(SECTION, what, who), count, unit=INSTRUCTIONS)


def _calls(
    node: Node, at: Place, before: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """Make each call, and yield its plugin and verb after it."""

    def call(plugin: str, verb: str, document: dict[str, object]) -> Answer:
        return single.call(node, plugin, verb, at, document, before)

    plugins = {
        "bridge": conf.bridge(),
        "portmap": conf.portmap(at.port),
        **{name: {"type": name} for name in _BESIDE},
    }
    previous = None
    for name, document in plugins.items():
        added = call(name, attach.ADD, conf.single(document, previous))
        previous = json.loads(added.output)
        yield name, attach.ADD
    for name, document in reversed(plugins.items()):
        call(name, attach.DEL, conf.single(document, previous))
        yield name, attach.DEL
    for name in single.ASKED:
        single.status(node, name, before)
        yield name, single.STATUS
        single.version(node, name, before)
        yield name, single.VERSION
