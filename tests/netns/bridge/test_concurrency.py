# SPDX-License-Identifier: Apache-2.0
"""bridge: many calls at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from at_once import Calls
from lab import ip, nft_objects
from netns.bridge.helpers import conf
from pictures import files

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space

WANTED = conf(ipMasq=True, macspoofchk=True, isDefaultGateway=True)
MANY = 50


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
    return Calls(cni, "bridge", WANTED, tmp_path)


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
