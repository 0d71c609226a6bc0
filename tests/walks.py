# SPDX-License-Identifier: Apache-2.0
"""ADD that fails or is killed at each of its calls in turn; calls at once."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faults import KILLED, Refusal, die_at_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest
    from lab import Cni, Space


@dataclass
class Walk:
    """An attachment that is tried again and again, each time with another failure."""

    cni: Cni
    plugin: str
    conf: dict[str, Any]
    space: Space
    picture: Callable[[], dict[str, Any]]
    failed: list[str] = field(default_factory=list)
    tolerated: list[str] = field(default_factory=list)

    def refuse(
        self,
        patch: pytest.MonkeyPatch,
        refuse: Callable[[pytest.MonkeyPatch, Refusal], None],
    ) -> None:
        """Have each call refused once; afterwards all must be as before."""
        before, n = self.picture(), 0
        while True:
            n += 1
            refusal = Refusal(n)
            with patch.context() as patched:
                refuse(patched, refusal)
                answer = self.cni(self.plugin, "ADD", self.conf, netns=self.space)
            if refusal.left > 0:
                break
            (self.failed if answer.status else self.tolerated).append(refusal.where)
            if answer.status == 0:
                self.cni.ok(self.plugin, "DEL", self.conf, netns=self.space)
            after = self.picture()
            assert after == before, (n, refusal.where, answer.stdout)
        assert answer.status == 0, answer.stdout
        self.cni.ok(self.plugin, "DEL", self.conf, netns=self.space)

    def kill_delete(self, patch: pytest.MonkeyPatch) -> int:
        """Kill DEL before each of its requests; another DEL must finish it.

        Returns how often it was killed.
        """
        before, n = self.picture(), 0
        while True:
            n += 1
            self.cni.ok(self.plugin, "ADD", self.conf, netns=self.space)
            status = self._dying(patch, "DEL", n)
            self.cni.ok(self.plugin, "DEL", self.conf, netns=self.space)
            assert self.picture() == before, n
            if status != KILLED:
                return n - 1

    def kill(self, patch: pytest.MonkeyPatch, then: Sequence[str]) -> int:
        """Kill ADD before each of its requests; the verbs `then` must mend it.

        Returns how often it was killed.
        """
        before, n = self.picture(), 0
        while True:
            n += 1
            status = self._dying(patch, "ADD", n)
            verbs = then if status == KILLED else ["DEL"]
            for verb in verbs:
                self.cni.ok(self.plugin, verb, self.conf, netns=self.space)
            assert self.picture() == before, n
            if status != KILLED:
                return n - 1

    def _dying(self, patch: pytest.MonkeyPatch, verb: str, n: int) -> int:
        """Make a call that dies before its n-th request; return how it ended."""
        child = os.fork()
        if child == 0:
            die_at_request(patch, Refusal(n))
            self.cni(self.plugin, verb, self.conf, netns=self.space)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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
