# SPDX-License-Identifier: Apache-2.0
"""An ADD that is killed: DEL leaves nothing of it, and another ADD works."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest
from at_once import Calls
from faults import KILLED, Death, die_at_request
from netns.bridge import helpers as bridge
from netns.ptp import helpers as ptp
from netns.ptp.helpers import leases, left, links

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space

WANTED = {
    "bridge": bridge.conf(ipMasq=True, macspoofchk=True, isDefaultGateway=True),
    "ptp": ptp.conf(ipMasq=True, ipam=ptp.DUAL),
}


@pytest.fixture(params=WANTED)
def calls(request: pytest.FixtureRequest, cni: Cni, tmp_path: Path) -> Calls:
    """Calls of a plugin that makes a veth pair."""
    return Calls(cni, request.param, WANTED[request.param], tmp_path)


def killed(calls: Calls, patch: pytest.MonkeyPatch, space: Space, n: int) -> bool:
    """Make an ADD that dies before its n-th request, and tell whether it did."""
    with patch.context() as patched:
        die_at_request(patched, Death(n))
        child = calls.start("ADD", space, "c1")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, KILLED}
    return status == KILLED


def test_killed_add_is_deleted(
    calls: Calls, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ADD that dies before any of its requests is undone by DEL, netns or not."""
    calls.ok("ADD", container)
    calls.ok("DEL", container)
    settled = left(container)  # a bridge stays
    n, was_killed = 0, True
    while was_killed:
        n += 1
        was_killed = killed(calls, monkeypatch, container, n)
        calls.ok("DEL", container if n % 2 else None)
        assert left(container) == settled, n
    assert n > 25


def test_killed_add_is_repeated(
    calls: Calls, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ADD after one that died succeeds, with no DEL between them."""
    calls.ok("ADD", container)
    whole = len(links()), len(leases())
    calls.ok("DEL", container)
    settled = left(container)
    for n in range(3, 60, 4):
        if not killed(calls, monkeypatch, container, n):
            calls.ok("DEL", container)
        calls.ok("ADD", container)
        assert (len(links()), len(leases())) == whole
        calls.ok("DEL", container)
    assert left(container) == settled


def test_add_that_is_killed_at_any_time(
    calls: Calls, container: Space, host: Host
) -> None:
    """SIGKILL at random moments, then DEL: nothing is left."""
    chance = random.Random(7)
    calls.ok("ADD", container)
    calls.ok("DEL", container)
    settled = left(container)
    for number in range(25):
        space = host.space()
        child = calls.start("ADD", space, f"c{number}")
        time.sleep(chance.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        calls.ok("DEL", space, f"c{number}")
    assert left(*host.spaces) == settled
