# SPDX-License-Identifier: Apache-2.0
"""ptp: many calls at once, and calls that are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from faults import KILLED, Death, die_at_request
from netns.ptp.helpers import DUAL, NOTHING, conf, leases, left, links

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space

WANTED = conf(ipMasq=True, ipam=DUAL)


class Calls:
    """Calls of ptp, each in a process of its own."""

    def __init__(self, cni: Cni, directory: Path) -> None:
        self.cni = cni
        self.directory = directory
        self.running: dict[int, str] = {}

    def start(self, verb: str, space: Space, name: str) -> int:
        """Start a call and return the number of its process."""
        child = os.fork()
        if child == 0:
            status = 99
            try:
                options: Any = {"netns": space, "container_id": name}
                answer = self.cni("ptp", verb, WANTED, **options)
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


@pytest.fixture
def calls(cni: Cni, tmp_path: Path) -> Calls:
    """A way to call ptp many times at once."""
    return Calls(cni, tmp_path)


def test_parallel_adds_and_deletes(calls: Calls, host: Host) -> None:
    """ADDs and DELs at once give each container its own, and leave nothing."""
    spaces = [host.space() for _ in range(20)]
    for number, space in enumerate(spaces[:10]):
        calls.start("ADD", space, f"c{number}")
    results = calls.wait()
    assert len({r["ips"][0]["address"] for r in results.values()}) == 10
    for number, space in enumerate(spaces):
        calls.start("DEL" if number < 10 else "ADD", space, f"c{number}")
    calls.wait()
    assert (len(links()), len(leases())) == (11, 20)
    assert all(space.reaches("10.1.2.1") for space in spaces[10::3])
    assert all(space.reaches("fd00:1::1") for space in spaces[10::3])
    for number, space in enumerate(spaces):
        calls.start("DEL", space, f"c{number}")
    calls.wait()
    assert left(*spaces) == NOTHING


def test_killed_add_is_deleted(
    calls: Calls, cni: Cni, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ADD that dies before any of its requests is undone by DEL, netns or not."""
    n = 0
    while True:
        n += 1
        with monkeypatch.context() as patch:
            die_at_request(patch, Death(n))
            child = calls.start("ADD", container, "c1")
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        cni.ok("ptp", "DEL", WANTED, netns=container if n % 2 else "")
        assert left(container) == NOTHING, n
        if status != KILLED:
            break
    assert status == 0
    assert n > 30


def test_killed_add_is_repeated(
    calls: Calls, cni: Cni, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ADD after one that died succeeds, with no DEL between them."""
    status = KILLED
    for n in range(3, 60, 4):
        with monkeypatch.context() as patch:
            die_at_request(patch, Death(n))
            child = calls.start("ADD", container, "c1")
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != KILLED:
            cni.ok("ptp", "DEL", WANTED, netns=container)
        cni.ok("ptp", "ADD", WANTED, netns=container)
        assert (len(links()), len(leases())) == (2, 2)
        cni.ok("ptp", "DEL", WANTED, netns=container)
    assert left(container) == NOTHING


def test_add_that_is_killed_at_any_time(calls: Calls, cni: Cni, host: Host) -> None:
    """SIGKILL at random moments, then DEL: nothing is left."""
    chance = random.Random(7)
    for number in range(25):
        space = host.space()
        child = calls.start("ADD", space, f"c{number}")
        time.sleep(chance.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        cni.ok("ptp", "DEL", WANTED, netns=space, container_id=f"c{number}")
    assert left(*host.spaces) == NOTHING
