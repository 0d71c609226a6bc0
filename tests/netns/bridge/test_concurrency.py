# SPDX-License-Identifier: Apache-2.0
"""bridge: many calls at once, and calls that are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from faults import KILLED, Death, die_at_request
from lab import ip, nft_objects
from netns.bridge.helpers import conf
from pictures import files

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space

WANTED = conf(ipMasq=True, macspoofchk=True, isDefaultGateway=True)
MANY = 50


class Calls:
    """Calls of bridge, each in a process of its own."""

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
                answer = self.cni(
                    "bridge", verb, WANTED, netns=space, container_id=name
                )
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


def left(*spaces: Space) -> dict[str, Any]:
    """Return what there still is of any attachment."""
    inside = [link["ifname"] for space in spaces for link in space.ip("link", "show")]
    links = {link["ifname"] for link in ip("link", "show")} - {"lo", "br0"}
    return {
        "links": sorted(links | (set(inside) - {"lo"})),
        "leases": leases(),
        "rules": nft_objects("ruleset"),
        "files": files(),
    }


NOTHING: dict[str, Any] = {"links": [], "leases": [], "rules": [], "files": {}}


@pytest.fixture
def calls(cni: Cni, tmp_path: Path) -> Calls:
    """A way to call bridge many times at once."""
    return Calls(cni, tmp_path)


def ports() -> list[str]:
    """Return the ports of the bridge."""
    return [link["ifname"] for link in ip("link", "show") if link.get("master")]


def leases() -> list[str]:
    """Return the addresses that are given away."""
    names = os.listdir("/var/lib/cni/networks/net")
    return [name for name in names if name.startswith("10.")]


def test_parallel_adds_share_one_bridge(calls: Calls, host: Host) -> None:
    """Fifty ADDs at once give fifty addresses and ports, and one bridge."""
    for number in range(MANY):
        calls.start("ADD", host.space(), f"c{number}")
    results = calls.wait()
    assert len({r["ips"][0]["address"] for r in results.values()}) == MANY
    assert len({r["interfaces"][1]["name"] for r in results.values()}) == MANY
    assert len({r["interfaces"][0]["mac"] for r in results.values()}) == 1
    assert len(ports()) == MANY
    assert len(leases()) == MANY
    assert all(space.reaches("10.1.2.1") for space in host.spaces[::10])


def test_parallel_adds_and_deletes_leave_nothing(calls: Calls, host: Host) -> None:
    """ADDs and DELs of other containers at the same time do not disturb each other."""
    spaces = [host.space() for _ in range(20)]
    for number, space in enumerate(spaces[:10]):
        calls.start("ADD", space, f"c{number}")
    calls.wait()
    for number, space in enumerate(spaces):
        calls.start("DEL" if number < 10 else "ADD", space, f"c{number}")
    calls.wait()
    assert len(ports()) == len(leases()) == 10
    for number, space in enumerate(spaces):
        calls.start("DEL", space, f"c{number}")
    calls.wait()
    assert left(*host.spaces) == NOTHING


def test_an_add_that_is_repeated_too_early_waits(
    calls: Calls, cni: Cni, host: Host
) -> None:
    """Two at once answer the same, and neither takes the other's lease or record."""
    space = host.space()
    for _ in range(2):
        calls.start("ADD", space, "c0")
    (result,) = calls.wait().values()
    given = {"netns": space, "container_id": "c0"}
    cni.ok("bridge", "CHECK", {**WANTED, "prevResult": result}, **given)
    assert len(ports()) == len(leases()) == 1
    cni.ok("bridge", "DEL", WANTED, **given)
    assert left(space) == NOTHING


def test_failing_adds_spare_those_that_succeed(calls: Calls, host: Host) -> None:
    """ADDs that fail at the same time take nothing from those that do not."""
    taken = host.space()
    taken.run("ip", "link", "add", "eth0", "type", "bridge")
    good = [host.space() for _ in range(10)]
    bad = []
    for number, space in enumerate(good):
        calls.start("ADD", space, f"c{number}")
        bad.append(calls.start("ADD", taken, f"bad{number}"))
    for child in bad:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        del calls.running[child]
    calls.wait()
    assert len(ports()) == len(leases()) == len(good)
    assert all(space.reaches("10.1.2.1") for space in good)


def test_killed_add_is_deleted(
    calls: Calls, cni: Cni, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ADD that dies before any of its requests is undone by DEL, netns or not."""
    cni.ok("bridge", "ADD", WANTED, netns=container)
    cni.ok("bridge", "DEL", WANTED, netns=container)
    n = 0
    while True:
        n += 1
        death = Death(n)
        with monkeypatch.context() as patch:
            die_at_request(patch, death)
            child = calls.start("ADD", container, "c1")
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        cni.ok("bridge", "DEL", WANTED, netns=container if n % 2 else "")
        assert left(container) == NOTHING, n
        if status != KILLED:
            break
    assert status == 0
    assert n > 25


def test_killed_add_is_repeated(
    calls: Calls, cni: Cni, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ADD after one that died, without a DEL between them, succeeds."""
    for n in range(3, 40, 4):
        with monkeypatch.context() as patch:
            die_at_request(patch, Death(n))
            child = calls.start("ADD", container, "c1")
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != KILLED:
            cni.ok("bridge", "DEL", WANTED, netns=container)
        cni.ok("bridge", "ADD", WANTED, netns=container)
        assert (len(ports()), len(leases())) == (1, 1)
        cni.ok("bridge", "DEL", WANTED, netns=container)
    assert left(container) == NOTHING


def test_add_that_is_killed_at_any_time(calls: Calls, cni: Cni, host: Host) -> None:
    """SIGKILL at random moments, then DEL: nothing is left."""
    chance = random.Random(7)
    cni.ok("bridge", "ADD", WANTED, netns=host.space())
    cni.ok("bridge", "DEL", WANTED)
    for number in range(40):
        space = host.space()
        child = calls.start("ADD", space, f"c{number}")
        time.sleep(chance.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        cni.ok("bridge", "DEL", WANTED, netns=space, container_id=f"c{number}")
    assert left(*host.spaces) == NOTHING
