# SPDX-License-Identifier: Apache-2.0
"""ptp: many calls at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from at_once import Calls
from netns.ptp.helpers import DUAL, NOTHING, conf, leases, left, links

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host

WANTED = conf(ipMasq=True, ipam=DUAL)


@pytest.fixture
def calls(cni: Cni, tmp_path: Path) -> Calls:
    """A way to call ptp many times at once."""
    return Calls(cni, "ptp", WANTED, tmp_path)


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
