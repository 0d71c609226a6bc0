# SPDX-License-Identifier: Apache-2.0
"""One plugin called alone, as a runtime does: environment, stdin, one process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks import conf
from benchmarks.attach import ADD, CHECK, DEL, may_fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.node import Node
    from benchmarks.watch import Answer

PLUGINS = ("loopback", "host-local", "bridge", "portmap")
VERSION = "VERSION"
# The address of a container that portmap alone publishes; the bridge leads to it.
_ADDRESS = "10.88.239.1"


def version(node: Node, plugin: str) -> Answer:
    """Return what VERSION cost."""
    return _call(node, plugin, VERSION, "", "", {"cniVersion": conf.VERSION})


def attach_and_detach(
    node: Node, plugin: str, container: str, netns: str
) -> Iterator[tuple[str, Answer]]:
    """Yield the verbs that were called, one after another, with what they cost."""
    previous = conf.attached(_ADDRESS, netns) if plugin == "portmap" else None
    first = _call(node, plugin, ADD, container, netns, _document(plugin, previous))
    yield ADD, first
    document = _document(plugin, json.loads(first.output))
    for verb in (CHECK, DEL):
        yield verb, _call(node, plugin, verb, container, netns, document)


def nothing(node: Node, container: str, netns: str) -> Answer:
    """Return what an ADD cost that has nothing to do: portmap without a mapping."""
    previous = conf.attached(_ADDRESS, netns)
    document = conf.single(conf.portmap(None), previous)
    return _call(node, "portmap", ADD, container, netns, document)


def _document(plugin: str, previous: Any) -> dict[str, Any]:
    found = {
        "loopback": {"type": "loopback"},
        "host-local": conf.host_local(),
        "bridge": conf.bridge(),
        "portmap": conf.portmap(conf.FIRST_PORT - 2),
    }
    return conf.single(found[plugin], previous)


def _call(  # noqa: PLR0913, PLR0917 - the CNI variables and stdin
    node: Node,
    plugin: str,
    verb: str,
    container: str,
    netns: str,
    document: dict[str, Any],
) -> Answer:
    env = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": container,
        "CNI_NETNS": netns,
        "CNI_IFNAME": "lo" if plugin == "loopback" else "eth0",
        "CNI_PATH": str(node.directory),
    }
    program = str(node.directory / plugin)
    allowed = may_fail(node, verb)
    return node.execute([program], json.dumps(document), env, may_fail=allowed)
