# SPDX-License-Identifier: Apache-2.0
"""One plugin called alone, as a runtime does: environment, stdin, one process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks import conf
from benchmarks.attach import ADD, CHECK, DEL, may_fail
from benchmarks.node import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.node import Node
    from benchmarks.watch import Answer

PLUGINS = ("loopback", "host-local", "bridge", "portmap")
STATUS, VERSION = "STATUS", "VERSION"
# Those that look at something of the node for STATUS.
ASKED = ("bridge", "host-local", "portmap", "firewall", "tuning")
# The address of a container that portmap alone publishes; the bridge leads to it.
_ADDRESS = "10.88.239.1"
# STATUS and VERSION are about no container.
_NOWHERE = Place("", "", "", 0)
_STATUS_SINCE = "1.1.0"


def version(node: Node, plugin: str, before: Sequence[str] = ()) -> Answer:
    """Return what VERSION cost."""
    document = {"cniVersion": conf.VERSION}
    return call(node, plugin, VERSION, _NOWHERE, document, before)


def status(node: Node, plugin: str, before: Sequence[str] = ()) -> Answer:
    """Return what STATUS cost."""
    document = {**_document(plugin, None), "cniVersion": _STATUS_SINCE}
    return call(node, plugin, STATUS, _NOWHERE, document, before)


def attach_and_detach(
    node: Node, plugin: str, container: str, netns: str
) -> Iterator[tuple[str, Answer]]:
    """Yield the verbs that were called, one after another, with what they cost."""
    previous = conf.attached(_ADDRESS, netns) if plugin == "portmap" else None
    at = Place(container, netns, _ADDRESS, conf.FIRST_PORT - 2)
    first = call(node, plugin, ADD, at, _document(plugin, previous))
    yield ADD, first
    document = _document(plugin, json.loads(first.output))
    for verb in (CHECK, DEL):
        yield verb, call(node, plugin, verb, at, document)


def nothing(node: Node, container: str, netns: str) -> Answer:
    """Return what an ADD cost that has nothing to do: portmap without a mapping."""
    previous = conf.attached(_ADDRESS, netns)
    document = conf.single(conf.portmap(None), previous)
    at = Place(container, netns, _ADDRESS, 0)
    return call(node, "portmap", ADD, at, document)


def _document(plugin: str, previous: Any) -> dict[str, Any]:
    found = {
        "host-local": conf.host_local(),
        "bridge": conf.bridge(),
        "portmap": conf.portmap(conf.FIRST_PORT - 2),
    }
    return conf.single(found.get(plugin, {"type": plugin}), previous)


def call(  # noqa: PLR0913, PLR0917 - the CNI variables and stdin
    node: Node,
    plugin: str,
    verb: str,
    at: Place,
    document: dict[str, Any],
    before: Sequence[str] = (),
) -> Answer:
    """Return what one call cost; `before` are words that stand before the program."""
    env = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": at.container,
        "CNI_NETNS": at.netns,
        "CNI_IFNAME": "lo" if plugin == "loopback" else "eth0",
        "CNI_PATH": str(node.directory),
    }
    words = [*before, str(node.directory / plugin)]
    allowed = may_fail(node, verb)
    return node.execute(words, json.dumps(document), env, may_fail=allowed)
