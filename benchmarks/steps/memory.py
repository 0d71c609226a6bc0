# SPDX-License-Identifier: Apache-2.0
"""The peak of a call's resident memory, what the warm server holds, the packed file."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import attach, single
from benchmarks.measurements import KIB, Name
from benchmarks.node import COLD, NETAVARK, SMALL, WARM, Node

if TYPE_CHECKING:
    from benchmarks.bench import Bench

SECTION = "memory"
SERVER_RSS, SERVER_PSS = "server, resident", "server, proportional"
PACKED = "packed file"
_CALLS = 5


def measure(bench: Bench) -> None:
    """Note the memory of ADD by each plugin, of netavark, and of the server after."""
    with ExitStack() as stack:
        for node in bench.nodes(stack):
            attach.settle(node)
            (netns,) = node.spaces(1)
            for number in range(_CALLS):
                if node.who == NETAVARK:
                    _netavark(bench, node, f"m{number}", netns)
                else:
                    _plugins(bench, node, f"m{number}", netns)
            if node.who == WARM:
                _server(bench, node)
            if node.who in {COLD, SMALL}:
                size = (node.directory / "cnipy").stat().st_size
                bench.measurements.add(
                    Name(SECTION, PACKED, node.who), size / 1024, unit=KIB
                )


def _plugins(bench: Bench, node: Node, container: str, netns: str) -> None:
    for plugin in single.PLUGINS:
        calls = single.attach_and_detach(node, plugin, f"{container}-{plugin}", netns)
        for verb, answer in calls:
            if verb == attach.ADD:
                name = Name(SECTION, f"{plugin} {verb}", node.who)
                bench.measurements.add(name, answer.rss, unit=KIB)


def _netavark(bench: Bench, node: Node, container: str, netns: str) -> None:
    (place,) = next(attach.places([netns]))
    place = place._replace(container=container)
    added = attach.call(node, attach.ADD, [place])
    attach.call(node, attach.DEL, [place])
    name = Name(SECTION, "netavark setup", node.who)
    bench.measurements.add(name, added.rss, unit=KIB)


def _server(bench: Bench, node: Node) -> None:
    assert node.server is not None
    with open(f"/proc/{node.server.pid}/smaps_rollup", encoding="ascii") as file:
        lines = [line.split() for line in file]
    kib = {words[0]: float(words[1]) for words in lines if len(words) == 3}  # noqa: PLR2004 - "Rss: 4 kB"
    for what, field in ((SERVER_RSS, "Rss:"), (SERVER_PSS, "Pss:")):
        bench.measurements.add(Name(SECTION, what, WARM), kib[field], unit=KIB)
