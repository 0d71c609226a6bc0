# SPDX-License-Identifier: Apache-2.0
"""Calls of plugins at the same time."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab import Cni, Space


def at_once(
    cni: Cni, calls: Sequence[dict[str, Any]], directory: Path
) -> list[tuple[int, Any]]:
    """Make `calls`, arguments of a call each, in processes of their own.

    Returns exit status and document of each, in their order.
    """
    children = []
    for number, arguments in enumerate(calls):
        child = os.fork()
        if child == 0:
            status = 99
            try:
                answer = cni(**arguments)
                (directory / str(number)).write_text(answer.stdout)
                status = answer.status
            finally:
                os._exit(status)
        children.append(child)
    found = []
    for number, child in enumerate(children):
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        text = (directory / str(number)).read_text()
        found.append((status, json.loads(text) if text else None))
    return found


class Calls:
    """Calls of `plugin` with `conf` for containers, each in a process of its own."""

    def __init__(
        self, cni: Cni, plugin: str, conf: dict[str, Any], directory: Path
    ) -> None:
        self.cni, self.plugin, self.conf = cni, plugin, conf
        self.directory = directory
        self.running: dict[int, str] = {}

    def start(self, verb: str, space: Space, name: str) -> int:
        """Start a call and return the number of its process."""
        child = os.fork()
        if child == 0:
            status = 99
            try:
                options: Any = {"netns": space, "container_id": name}
                answer = self.cni(self.plugin, verb, self.conf, **options)
                (self.directory / f"{verb}-{name}").write_text(answer.stdout)
                status = answer.status
            finally:
                os._exit(status)
        self.running[child] = f"{verb}-{name}"
        return child

    def wait(self) -> dict[str, Any]:
        """Wait for all and return what they printed; each must have succeeded."""
        printed = {}
        for child, call in self.running.items():
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            text = (self.directory / call).read_text()
            assert status == 0, (call, text)
            printed[call] = json.loads(text) if text else None
        self.running = {}
        return printed

    def ok(self, verb: str, space: Space | None, name: str = "c1") -> None:
        """Make a call here that must succeed."""
        options: Any = {"container_id": name} | ({"netns": space} if space else {})
        self.cni.ok(self.plugin, verb, self.conf, **options)
