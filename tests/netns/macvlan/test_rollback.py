# SPDX-License-Identifier: Apache-2.0
"""macvlan: ADDs that fail, are killed, are repeated, or happen at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from faults import Refusal, refuse_function, refuse_request, refused
from netns.bridge.helpers import held
from netns.macvlan.helpers import conf
from pictures import picture
from walks import Walk, at_once

from cni_common.kernel import macvlans

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab import Cni, Host, Space

EVERYTHING = conf(mode="passthru", mac="02:00:00:00:00:01", mtu=1400, bcqueuelen=2000)


@pytest.fixture
def outside(host: Host) -> Space:
    """A neighbour beyond the uplink eth0."""
    return host.outside()


def refuse_macvlan(patch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    """Count the functions of every plugin, and those of macvlans."""
    refuse_function(patch, refusal)
    for name in ("add", "get"):
        counted = refusal.around(getattr(macvlans, name), name, refused)
        patch.setattr(macvlans, name, counted)


@pytest.mark.parametrize("refuse", [refuse_macvlan, refuse_request])
def test_add_that_fails_anywhere_leaves_nothing(
    cni: Cni,
    outside: Space,
    container: Space,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[pytest.MonkeyPatch, Refusal], None],
) -> None:
    """Whichever call fails during ADD, nothing stays, and a plain retry works."""
    walk = Walk(
        cni, "macvlan", EVERYTHING, container, lambda: picture(container, outside)
    )
    walk.refuse(monkeypatch, refuse)
    assert len(walk.failed) > len(walk.tolerated)
    assert len(walk.failed) > 12


@pytest.mark.parametrize("then", [["DEL"], ["ADD", "DEL"]])
def test_add_that_is_killed_anywhere_is_mended(
    cni: Cni,
    outside: Space,
    container: Space,
    monkeypatch: pytest.MonkeyPatch,
    then: list[str],
) -> None:
    """However early or late ADD is killed, DEL leaves nothing, and ADD works again."""
    walk = Walk(
        cni, "macvlan", EVERYTHING, container, lambda: picture(container, outside)
    )
    assert walk.kill(monkeypatch, then) > 12


def test_delete_that_is_killed_anywhere_is_finished(
    cni: Cni, outside: Space, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However early or late DEL is killed, another DEL leaves nothing."""
    walk = Walk(
        cni, "macvlan", EVERYTHING, container, lambda: picture(container, outside)
    )
    assert walk.kill_delete(monkeypatch) >= 2


def test_interface_that_exists_is_untouched(
    cni: Cni, outside: Space, container: Space
) -> None:
    """A link called CNI_IFNAME in the container is an error, and it stays as it is."""
    container.run("ip", "link", "add", "eth0", "type", "bridge")
    before = picture(container, outside)
    error = cni.refused("macvlan", "ADD", conf(), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    assert picture(container, outside) == before


def test_repeated_add_keeps_the_attachment(
    cni: Cni, outside: Space, container: Space
) -> None:
    """A second ADD of a living attachment answers the same and changes nothing."""
    result = cni.ok("macvlan", "ADD", conf(), netns=container)
    before = picture(container, outside)
    assert cni.ok("macvlan", "ADD", conf(), netns=container) == result
    assert picture(container, outside) == before
    error = cni.refused("macvlan", "ADD", conf(mtu=1400), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    assert picture(container, outside) == before


def test_repeated_add_puts_back_what_is_missing(
    cni: Cni, outside: Space, container: Space
) -> None:
    """Addresses, routes and the link's own options are as they were again."""
    wanted = conf(mode="private", bcqueuelen=2000)
    result = cni.ok("macvlan", "ADD", wanted, netns=container)
    before = picture(container, outside)
    words = ("type", "macvlan", "mode", "vepa", "bcqueuelen", "10")
    container.run("ip", "link", "set", "eth0", *words)
    container.run("ip", "addr", "flush", "dev", "eth0", "scope", "global")
    container.run("ip", "link", "set", "eth0", "down")
    assert cni.ok("macvlan", "ADD", wanted, netns=container) == result
    assert picture(container, outside) == before


def test_add_into_another_netns_keeps_the_attachment(
    cni: Cni, outside: Space, host: Host
) -> None:
    """An attachment that lives in one namespace is not moved to another one."""
    one, two = host.space(), host.space()
    cni.ok("macvlan", "ADD", conf(), netns=one)
    before = picture(one, two, outside)
    error = cni.refused("macvlan", "ADD", conf(), netns=two)
    assert error["msg"] == f"add interface eth0: container c1 has it in {one.path}"
    assert picture(one, two, outside) == before


def test_add_after_the_namespace_died_works(
    cni: Cni, outside: Space, host: Host
) -> None:
    """An attachment whose namespace is gone does not keep a new one from its name."""
    del outside
    one, two = host.space(), host.space()
    cni.ok("macvlan", "ADD", conf(), netns=one)
    one.delete()
    cni.ok("macvlan", "ADD", conf(), netns=two)
    assert len(held(two)) == 2


@pytest.mark.parametrize("netns", ["/run/netns/never", "/etc/hostname", "own"])
def test_netns_that_is_none_changes_nothing(
    cni: Cni, outside: Space, netns: str
) -> None:
    """A CNI_NETNS that is no other namespace is code 8, and nothing is made."""
    before = picture(outside)
    path = "/proc/thread-self/ns/net" if netns == "own" else netns
    error = cni.refused("macvlan", "ADD", conf(), netns=path)
    assert error["code"] == 8
    assert picture(outside) == before


def test_containers_at_once(
    cni: Cni, outside: Space, host: Host, tmp_path: Path
) -> None:
    """Eight ADDs at the same time give eight macvlans with addresses of their own."""
    spaces = [host.space() for _ in range(8)]
    before = picture(*spaces, outside)
    calls: list[dict[str, Any]] = [
        {
            "plugin": "macvlan",
            "command": "ADD",
            "conf": conf(),
            "netns": space,
            "container_id": f"c{number}",
        }
        for number, space in enumerate(spaces)
    ]
    answers = at_once(cni, calls, tmp_path)
    assert [status for status, _ in answers] == [0] * 8
    given = [result["ips"][0]["address"] for _, result in answers]
    assert given == [held(space)[0] for space in spaces]
    assert len(set(given)) == 8
    deletes = [{**call, "command": "DEL"} for call in calls]
    assert [status for status, _ in at_once(cni, deletes, tmp_path)] == [0] * 8
    assert picture(*spaces, outside) == before
