# SPDX-License-Identifier: Apache-2.0
"""Plugins of the directory that are not in the chain, beside the reference's.

A link that the kernel does not have, and a plugin that the reference at hand does not
have, is left out: the results say so.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from benchmarks import attach, conf, single
from benchmarks.bench import rotated
from benchmarks.measurements import Name
from benchmarks.node import COLD, REFERENCE, WARM, CallError, Node, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench

SECTION = "directory"
_MASTER = "up0"
_IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.89.0.0/16"}]]}
_UPPER = {"master": _MASTER, "ipam": _IPAM}
# Plugin -> its keys, and what it makes, in the words of ip-link(8).
PLUGINS: dict[str, tuple[dict[str, Any], str]] = {
    "sbr": ({}, ""),
    "vrf": ({"vrfname": "blue"}, "type vrf table 9"),
    "tap": ({"owner": 1000, "group": 1000, "ipam": _IPAM}, ""),
    "dummy": ({"ipam": _IPAM}, "type dummy"),
    "macvlan": (_UPPER, f"link {_MASTER} type macvlan"),
    "vlan": ({**_UPPER, "vlanId": 93}, f"link {_MASTER} type vlan id 9"),
    "ipvlan": (_UPPER, f"link {_MASTER} type ipvlan"),
}
CHAINED = ("sbr", "vrf")
_ADDRESS = "10.88.239.1"


def measure(bench: Bench) -> None:
    """Note ADD, CHECK and DEL of each plugin that can be called on a node."""
    with ExitStack() as stack:
        nodes = bench.nodes(stack, (COLD, WARM, REFERENCE))
        spaces, offered = {}, {}
        for node in nodes:
            words = f"link add {_MASTER} up type veth peer name {_MASTER}p"
            node.run("ip", *words.split())
            (spaces[node],) = node.spaces(1)
            offered[node] = [name for name in PLUGINS if _can(bench, node, name)]
            for plugin in offered[node]:  # the first call makes what others find
                for _ in _calls(node, plugin, "first", spaces[node]):
                    pass
        bench.wait_for_quiet()
        for number, node in enumerate(rotated(nodes, bench.rounds(20))):
            for plugin in offered[node]:
                at = f"d{number}"
                for verb, answer in _calls(node, plugin, at, spaces[node]):
                    name = Name(SECTION, f"{plugin} {verb}", node.who)
                    bench.record(name, answer)


def _can(bench: Bench, node: Node, plugin: str) -> bool:
    """Tell whether the node has the plugin, and its kernel what that makes."""
    if not (node.directory / plugin).exists():
        bench.note(f"{SECTION}: {plugin} is not in the directory of {node.who}")
        return False
    words = PLUGINS[plugin][1]
    if words:
        try:
            node.run("ip", "link", "add", "probe0", *words.split())
        except CallError:
            bench.note(f"{SECTION}: this kernel has no links for {plugin}")
            return False
        node.run("ip", "link", "delete", "probe0")
    return True


def _calls(
    node: Node, plugin: str, container: str, netns: str
) -> Iterator[tuple[str, Any]]:
    """Yield each verb and what it cost; the container's link is there and goes."""
    at = Place(f"{container}-{plugin}", netns, _ADDRESS, 0)
    document = {"type": plugin, **PLUGINS[plugin][0]}
    previous, name = None, netns.rpartition("/")[2]
    if plugin in CHAINED:
        for words in (
            "link add eth0 type veth peer name eth0p",
            f"addr add {_ADDRESS}/16 dev eth0",
            "link set eth0p up",
            "link set eth0 up",
            f"route add default via {conf.GATEWAY}",
        ):
            node.run("ip", "-n", name, *words.split())
        previous = conf.attached(_ADDRESS, netns)
    added = single.call(node, plugin, attach.ADD, at, conf.single(document, previous))
    yield attach.ADD, added
    known = conf.single(document, json.loads(added.output))
    for verb in (attach.CHECK, attach.DEL):
        yield verb, single.call(node, plugin, verb, at, known)
    if plugin in CHAINED:
        node.run("ip", "-n", name, "link", "delete", "eth0")
