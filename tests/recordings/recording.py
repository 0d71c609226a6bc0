# SPDX-License-Identifier: Apache-2.0
"""Calls that real runtimes made, and their replay against other plugins."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.runtimes.sandbox.chain import Answer, Attachment, Plugins

HERE = Path(__file__).parent
RECORDINGS = tuple(sorted(path.stem for path in HERE.glob("*.json")))
Document = dict[str, Any]
# As for a pod with hostUsers: false: whoever is root in there is nobody here.
IN_USER_NAMESPACE = """
ip netns add "$0-sibling" && ip netns delete "$0-sibling"  # /run/netns is a mount then
unshare --user --net sleep 60 &
until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do
    sleep 0.02
done
touch "/run/netns/$0"
mount --bind "/proc/$!/ns/net" "/run/netns/$0"
kill $!
"""


@dataclass(frozen=True)
class Call:
    """One recorded call.

    `delegator` is the plugin that made it, if a plugin did; `holder` is the living
    container that has one of the ports published here. The namespace belongs to a
    user namespace of its own with `userns`, and has been removed before with `gone`.
    """

    plugin: str
    command: str
    status: int
    stdin: Document
    ifname: str
    netns: str = ""
    container: str = ""
    args: str = ""
    delegator: str = ""
    holder: str = ""
    userns: bool = False
    gone: bool = False

    @property
    def attachment(self) -> tuple[str, str, str]:
        """Network, container and interface."""
        return self.stdin.get("name", ""), self.container, self.ifname


def read(name: str) -> list[Call]:
    """Return the calls of a recording in their order.

    A delegate got the stdin of its delegator, so the file has it once.
    """
    raw = json.loads((HERE / f"{name}.json").read_text())["calls"]
    calls: list[Call] = []
    upper: dict[tuple[str, str, str], Document] = {}
    for entry in raw:
        place = (entry["command"], entry.get("container", ""), entry["ifname"])
        if "delegator" not in entry:
            upper[place] = entry["stdin"]
        calls.append(Call(**{"stdin": upper.get(place), **entry}))
    return calls


class Replay:
    """Plays calls in order; prevResult is what the plugins under test gave."""

    def __init__(self, plugins: Plugins, calls: list[Call]) -> None:
        self.plugins, self.calls = plugins, calls
        self.results: dict[tuple[str, str, str], Document] = {}
        self.containers: dict[str, str] = {}  # by their namespaces

    def play(self) -> Iterator[tuple[Call, Answer]]:
        """Yield each call, as it was sent, and its answer."""
        for number, call in enumerate(self.calls):
            self._prepare_netns(call)
            sent = replace(call, stdin=self._document(call))
            answer = self._send(sent)
            if call.command == "ADD" and answer.status == 0:
                self.results[call.attachment] = answer.document
            yield sent, answer
            self._delete_unused(self.calls[number + 1 :])

    def _document(self, call: Call) -> Document:
        document = dict(call.stdin)
        # A whole prevResult belongs to an ADD from before the recording began.
        if document.get("prevResult") is True:
            document["prevResult"] = self.results.get(call.attachment)
        return document

    def _send(self, call: Call) -> Answer:
        at = Attachment(call.container, call.netns, call.ifname, call.args)
        return self.plugins.call(call.command, call.stdin, at, call.plugin)

    def _prepare_netns(self, call: Call) -> None:
        if call.gone:
            self._delete_netns(call.netns)
        elif "/" in call.netns and not self._has_netns(call.netns):
            name = Path(call.netns).name
            self.containers[call.netns] = call.container
            if call.userns:
                self.plugins.sandbox.run("sh", "-euc", IN_USER_NAMESPACE, name)
            else:
                self.plugins.sandbox.run("ip", "netns", "add", name)

    def _delete_unused(self, later: list[Call]) -> None:
        """Let containers end that nobody calls, nor collides with, any more."""
        called = {call.netns for call in later}
        holders = {call.holder for call in later}
        for netns, container in tuple(self.containers.items()):
            if netns not in called and container not in holders:
                self._delete_netns(netns)
                del self.containers[netns]

    def _has_netns(self, netns: str) -> bool:
        return self.plugins.sandbox.path(f"/run/netns/{Path(netns).name}").exists()

    def _delete_netns(self, netns: str) -> None:
        if "/" in netns and self._has_netns(netns):
            self.plugins.sandbox.run("ip", "netns", "delete", Path(netns).name)
