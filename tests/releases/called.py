# SPDX-License-Identifier: Apache-2.0
"""A list of plugins called for one container as libcni calls it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab import Space

Document = dict[str, Any]
NAME = {"cniVersion": "1.1.0", "name": "net"}
VALID = "cni.dev/valid-attachments"


@dataclass
class Container:
    """An attachment; `call` takes plugin, command, configuration and options.

    `results` are what each plugin answered to ADD.
    """

    call: Callable[..., Any]
    space: Space
    container_id: str
    plugins: Sequence[Document]
    ifname: str = "eth0"
    results: list[Document] = field(default_factory=list)

    def add(self) -> None:
        """Have it attached."""
        self.results = []
        for number in range(len(self.plugins)):
            self.results.append(self.add_one(number))

    def add_one(self, number: int) -> Document:
        """Return the answer to ADD of one plugin, after those before it."""
        before = self.results[number - 1] if number else None
        return dict(self._send("ADD", self._conf(number, before)))

    def check(self) -> None:
        """Have it looked at by all plugins."""
        for number in range(len(self.plugins)):
            self._send("CHECK", self._conf(number, self.results[-1]))

    def delete(self, netns: str | None = None, but: int = 0) -> None:
        """Have it detached, the last plugin first; not from the first `but` ones."""
        for number in reversed(range(but, len(self.plugins))):
            self._send("DEL", self._conf(number, self.results[-1]), netns)

    def delete_without_configuration(self) -> None:
        """Have it detached with keys that no plugin can use."""
        for plugin in reversed(self.plugins):
            keys = {key: ["unusable"] for key in plugin if key != "type"}
            self._send("DEL", {**NAME, **keys, "type": plugin["type"]})

    def collect(self, *valid: Container) -> None:
        """Have GC leave the valid ones."""
        kept = [
            {"containerID": each.container_id, "ifname": each.ifname} for each in valid
        ]
        for plugin in self.plugins:
            self.call(plugin["type"], "GC", {**NAME, **plugin, VALID: kept})

    def _conf(self, number: int, previous: Document | None) -> Document:
        conf = {**NAME, **self.plugins[number]}
        return {**conf, "prevResult": previous} if previous else conf

    def _send(self, command: str, conf: Document, netns: str | None = None) -> Any:
        return self.call(
            conf["type"],
            command,
            conf,
            netns=self.space.path if netns is None else netns,
            container_id=self.container_id,
            ifname=self.ifname,
        )
