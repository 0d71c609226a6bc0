# SPDX-License-Identifier: Apache-2.0
"""host-device: ADDs that fail, are killed, are repeated, or happen at the same time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from faults import Refusal, refuse_function, refuse_request, refused
from lab import run
from netns.host_device.helpers import conf, device, on_host, wired
from netns.macvlan.helpers import names, shown
from pictures import files, picture
from walks import Walk, at_once

from cni_common import homecoming, layer3
from cni_common.kernel import link_moves, link_settings, links
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Cni, Host, Space


@pytest.fixture
def wire(host: Host) -> Space:
    """What is at the other end of ens5, which the host itself uses until now."""
    space = wired(host)
    run("ip", "addr", "add", "198.51.100.1/24", "brd", "+", "dev", "ens5")
    run("ip", "addr", "add", "fd00:5::1/64", "dev", "ens5", "nodad")
    run("ip", "route", "add", "default", "via", "198.51.100.2", "metric", "50")
    run("ip", "route", "add", "203.0.113.0/24", "dev", "ens5", "scope", "link")
    return space


def refuse_move(patch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    """Count the functions of every plugin, and those that move a link."""
    refuse_function(patch, refusal)
    for module, name in (
        (link_moves, "move"),
        (link_moves, "rename"),
        (links, "announce"),
        (link_settings, "set_mtu"),
    ):
        counted = refusal.around(getattr(module, name), name, refused)
        patch.setattr(module, name, counted)


@pytest.mark.parametrize("refuse", [refuse_move, refuse_request])
def test_add_that_fails_anywhere_leaves_nothing(
    cni: Cni,
    host: Host,
    container: Space,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[pytest.MonkeyPatch, Refusal], None],
) -> None:
    """Whichever call fails during ADD, nothing stays, and a plain retry works."""
    wire = wired(host)
    walk = Walk(cni, "host-device", conf(), container, lambda: picture(container, wire))
    walk.refuse(monkeypatch, refuse)
    assert len(walk.failed) > len(walk.tolerated)
    assert len(walk.failed) > 12


@pytest.mark.parametrize("then", [["DEL"], ["ADD", "DEL"]])
def test_add_that_is_killed_anywhere_is_mended(
    cni: Cni,
    host: Host,
    container: Space,
    monkeypatch: pytest.MonkeyPatch,
    then: list[str],
) -> None:
    """However early or late ADD is killed, DEL leaves nothing, and ADD works again."""
    wire = wired(host)
    walk = Walk(cni, "host-device", conf(), container, lambda: picture(container, wire))
    assert walk.kill(monkeypatch, then) > 12


def test_delete_that_is_killed_anywhere_is_finished(
    cni: Cni, host: Host, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However early or late DEL is killed, another DEL leaves nothing."""
    wire = wired(host)
    walk = Walk(cni, "host-device", conf(), container, lambda: picture(container, wire))
    assert walk.kill_delete(monkeypatch) > 3


@pytest.mark.parametrize("lent_again", [False, True])
def test_device_that_is_home_leaves_its_record_to_go(
    cni: Cni, host: Host, container: Space, *, lent_again: bool
) -> None:
    """A DEL that was killed before it could remove the record is finished by another.

    Also when the device has got another index on its way, and another container.
    """
    wire, second = wired(host), host.space()
    words = ("index", str(device()["ifindex"]), "type", "bridge")
    container.run("ip", "link", "add", "br0", *words)
    cni.ok("host-device", "ADD", conf(ipam=None), netns=container)
    records = files()
    cni.ok("host-device", "DEL", conf(ipam=None), netns=container)
    if lent_again:
        other = {"netns": second, "container_id": "c2"}
        cni.ok("host-device", "ADD", conf(ipam=None), **other)
    before = picture(container, second, wire)
    for path, content in records.items():
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        Path(path).write_bytes(content)
    cni.ok("host-device", "DEL", conf(ipam=None), netns=container)
    assert picture(container, second, wire) == before


def test_failed_add_gives_the_host_its_addresses_back(
    cni: Cni, wire: Space, container: Space
) -> None:
    """A device in use comes back from a failed ADD with its addresses and routes."""
    before = steady_routes(picture(container, wire))
    tiny = [[{"subnet": "10.1.2.0/30", "rangeEnd": "10.1.2.1"}]]
    wanted = conf(ipam={"type": "host-local", "ranges": tiny})
    cni.refused("host-device", "ADD", wanted, netns=container)
    assert steady_routes(picture(container, wire)) == before


def steady_routes(picture: dict[str, Any]) -> dict[str, Any]:
    """Return a picture without who made a route, which does not come back."""
    return {key: value for key, value in picture.items() if ".protocol" not in key}


def test_failed_add_puts_the_device_back_into_its_bridge(
    cni: Cni, host: Host, container: Space
) -> None:
    """A port of a bridge is a port again when ADD fails."""
    wire = wired(host)
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "set", "ens5", "master", "br0")
    assert device()["master"] == "br0"
    before = picture(container, wire)
    error = cni.refused(
        "host-device", "ADD", conf(ipam={"type": "absent"}), netns=container
    )
    assert error["msg"].startswith("find plugin 'absent'")
    assert picture(container, wire) == before


def test_error_that_cannot_be_undone_can_be_retried(
    cni: Cni, host: Host, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that could not go home after a failed ADD is brought by DEL."""
    wire = wired(host)
    before = picture(container, wire)

    def refuse(*_: object, **__: object) -> None:
        raise refused()

    def keep(*_: object) -> None:
        raise CNIError(Code.INTERNAL, "kept by the test")

    with monkeypatch.context() as patch:
        patch.setattr(layer3, "configure", refuse)
        patch.setattr(homecoming, "move_out", keep)
        error = cni.refused("host-device", "ADD", conf(), netns=container)
    assert "undo: kept by the test" in error["details"]
    assert names(container) == ["lo", "eth0"]
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert picture(container, wire) == before


def test_interface_that_exists_is_untouched(
    cni: Cni, wire: Space, container: Space
) -> None:
    """A link called CNI_IFNAME in the container is an error, and all stays."""
    container.run("ip", "link", "add", "eth0", "type", "bridge")
    before = picture(container, wire)
    error = cni.refused("host-device", "ADD", conf(), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    assert picture(container, wire) == before


def test_repeated_add_keeps_the_attachment(
    cni: Cni, wire: Space, container: Space
) -> None:
    """A second ADD of a living attachment answers the same and changes nothing."""
    result = cni.ok("host-device", "ADD", conf(), netns=container)
    before = picture(container, wire)
    assert cni.ok("host-device", "ADD", conf(), netns=container) == result
    assert picture(container, wire) == before
    error = cni.refused("host-device", "ADD", conf(dns={}), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    assert picture(container, wire) == before


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
