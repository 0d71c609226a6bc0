# SPDX-License-Identifier: Apache-2.0
"""host-device: what is refused, and that all stays where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from at_once import at_once
from lab import run
from netns.host_device.helpers import conf, in_use, on_host, wired
from netns.macvlan.helpers import names, shown
from pictures import picture

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space


@pytest.fixture
def wire(host: Host) -> Space:
    """What is at the other end of ens5, which the host itself uses until now."""
    return in_use(host)


def test_device_that_is_lent_cannot_be_lent_again(
    cni: Cni, wire: Space, host: Host
) -> None:
    """A second container does not get the device; the first one keeps it."""
    one, two = host.space(), host.space()
    cni.ok("host-device", "ADD", conf(), netns=one, container_id="one")
    before = picture(one, two, wire)
    error = cni.refused("host-device", "ADD", conf(), netns=two, container_id="two")
    assert error["msg"] == "find device ens5: no such device"
    assert picture(one, two, wire) == before


def test_one_device_wanted_by_many_at_once_goes_to_one(
    cni: Cni, host: Host, tmp_path: Path
) -> None:
    """Of six ADDs at the same time one gets the device, and the rest leave no trace."""
    wire = wired(host)
    spaces = [host.space() for _ in range(6)]
    before = picture(*spaces, wire)
    calls: list[dict[str, Any]] = [
        {
            "plugin": "host-device",
            "command": "ADD",
            "conf": conf(),
            "netns": space,
            "container_id": f"c{number}",
        }
        for number, space in enumerate(spaces)
    ]
    answers = at_once(cni, calls, tmp_path)
    assert sorted(status for status, _ in answers) == [0, 1, 1, 1, 1, 1]
    winner = [status for status, _ in answers].index(0)
    assert shown(spaces[winner])["ifalias"] == "ens5"
    assert [len(names(space)) for space in spaces].count(2) == 1
    cni.ok(**{**calls[winner], "command": "DEL"})
    assert picture(*spaces, wire) == before


def test_bridge_is_not_moved(cni: Cni, host: Host, container: Space) -> None:
    """A link that belongs to its namespace is refused in the kernel's words."""
    del host
    run("ip", "link", "add", "br0", "type", "bridge")
    before = picture(container)
    error = cni.refused("host-device", "ADD", conf(device="br0"), netns=container)
    assert error["code"] == 999
    assert error["msg"].startswith(f"move link br0 to {container.path} as eth0: ")
    assert picture(container) == before
    assert "br0" in on_host()


def test_loopback_is_not_lent(cni: Cni, host: Host, container: Space) -> None:
    """The loopback of the container is not taken for the host's that never left."""
    del host
    before = picture(container)
    error = cni.refused("host-device", "ADD", conf(device="lo"), netns=container)
    assert (error["code"], error["msg"]) == (
        999,
        "lend device lo: it is the host's loopback",
    )
    assert picture(container) == before
    cni.ok("host-device", "DEL", conf(device="lo"), netns=container)


@pytest.mark.parametrize("netns", ["/run/netns/never", "/etc/hostname", "own"])
def test_netns_that_is_none_changes_nothing(cni: Cni, wire: Space, netns: str) -> None:
    """A CNI_NETNS that is no other namespace is code 8, and the device stays."""
    before = picture(wire)
    path = "/proc/thread-self/ns/net" if netns == "own" else netns
    error = cni.refused("host-device", "ADD", conf(), netns=path)
    assert error["code"] == 8
    assert picture(wire) == before
