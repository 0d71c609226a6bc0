# SPDX-License-Identifier: Apache-2.0
"""tap: ADD, DEL, CHECK, GC and STATUS, by kernel state and real traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bridge.helpers import held, with_result
from netns.macvlan.helpers import answers
from netns.tap.answering import attach
from netns.tap.helpers import (
    GUEST,
    bridged,
    conf,
    details,
    device,
    give_to,
    guest,
    settled,
)
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Space

pytestmark = pytest.mark.needs_kernel("tap")


def test_add_gives_the_container_a_tap(cni: Cni, container: Space) -> None:
    """A process at the other end is reached, and the result says what there is."""
    result = cni.ok("tap", "ADD", conf(), netns=container)
    link = details(container)
    assert result == {
        "cniVersion": "1.1.0",
        "interfaces": [
            {
                "name": "eth0",
                "mac": link["address"],
                "mtu": 1500,
                "sandbox": container.path,
            }
        ],
        "ips": [
            {"address": "10.90.0.2/24", "gateway": GUEST, "interface": 0},
            {"address": "fd90::2/64", "gateway": "fd90::1", "interface": 0},
        ],
        "routes": [{"dst": "192.0.2.0/24", "mtu": 1300}],
    }
    assert link["linkinfo"]["info_kind"] == "tun"
    assert (link["type"], link["persist"]) == ("tap", True)
    assert "UP" in link["flags"]
    assert link["ifalias"] == "cni net c1 eth0"
    assert not {"user", "group"} & set(link["linkinfo"]["info_data"])
    assert held(container) == ["10.90.0.2/24", "fd90::2/64"]
    assert not any(each.get("tentative") for each in link["addr_info"])
    assert not container.reaches(GUEST)
    with guest(container):
        assert answers(container, GUEST)
    cni.ok("tap", "CHECK", with_result(conf(), result), netns=container)


@pytest.mark.thorough
@pytest.mark.parametrize("keys", [{}, {"ipam": None}])
def test_delete_leaves_nothing(
    cni: Cni, container: Space, keys: dict[str, Any]
) -> None:
    """DEL takes back link, lease and record; a second one finds nothing to do."""
    before = picture(container)
    result = cni.ok("tap", "ADD", conf(**keys), netns=container)
    for _ in range(2):
        cni.ok("tap", "DEL", with_result(conf(**keys), result), netns=container)
        assert picture(container) == before


@pytest.mark.thorough
def test_delete_takes_a_tap_that_is_open(cni: Cni, container: Space) -> None:
    """A process that has the tap open keeps nothing of it, nor does a new name."""
    before = picture(container)
    cni.ok("tap", "ADD", conf(), netns=container)
    container.run("ip", "link", "set", "eth0", "down")
    container.run("ip", "link", "set", "eth0", "name", "other")
    with device(container) as tun:
        attach(tun, link="other")
        cni.ok("tap", "DEL", conf(), netns=container)
        assert picture(container) == before


@pytest.mark.thorough
def test_delete_without_a_record_removes_what_the_reference_left(
    cni: Cni, container: Space
) -> None:
    """A tap without alias in the namespace goes, though there is no record."""
    before = picture(container)
    container.run("ip", "tuntap", "add", "eth0", "mode", "tap")
    cni.ok("tap", "DEL", conf(), netns=container)
    assert picture(container) == before


@pytest.mark.thorough
def test_interface_that_exists_is_untouched(cni: Cni, container: Space) -> None:
    """A link called CNI_IFNAME is an error; it stays, and no other tap is left."""
    container.run("ip", "tuntap", "add", "eth0", "mode", "tap")
    before = picture(container)
    error = cni.refused("tap", "ADD", conf(), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    assert picture(container) == before


@pytest.mark.thorough
def test_repeated_add_puts_back_what_is_missing(cni: Cni, container: Space) -> None:
    """Addresses, routes, bridge and owner are as they were again."""
    bridged(container)
    wanted = conf(bridge="br0", owner=1000, group=0)
    result = cni.ok("tap", "ADD", wanted, netns=container)
    settled(container)
    before = picture(container)
    assert cni.ok("tap", "ADD", wanted, netns=container) == result
    assert picture(container) == before
    container.run("ip", "link", "set", "eth0", "nomaster")
    container.run("ip", "addr", "flush", "dev", "eth0", "scope", "global")
    container.run("ip", "link", "set", "eth0", "down")
    give_to(container, 7)
    assert cni.ok("tap", "ADD", wanted, netns=container) == result
    settled(container)
    assert picture(container) == before
    error = cni.refused("tap", "ADD", conf(mtu=1400), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("ip link set eth0 down", "check interface eth0: it is down"),
        ("ip addr del 10.90.0.2/24 dev eth0", "it lacks 10.90.0.2/24"),
        ("ip route del 192.0.2.0/24", "it lacks the route 192.0.2.0/24"),
        ("ip link set eth0 address 02:00:00:00:00:09", "its MAC is 02:00:00:00:00:09"),
        ("ip link set eth0 nomaster", "check interface eth0: it is no port of br0"),
        ("ip link del br0", "check interface eth0: it is no port of br0"),
        ("ip link del eth0", "check interface eth0: it does not exist"),
        ("ip link set eth0 mtu 1400", ""),
        ("ip link set eth0 alias 'cni net other eth0'", "it is not the tun of ADD"),
    ],
)
def test_check_names_what_is_missing(
    cni: Cni, container: Space, harm: str, words: str
) -> None:
    """CHECK raises code 999 and names the first thing that is not as ADD left it."""
    bridged(container)
    wanted = conf(bridge="br0", owner=1000, group=0)
    result = cni.ok("tap", "ADD", wanted, netns=container)
    container.run("sh", "-c", harm)
    answer = cni("tap", "CHECK", with_result(wanted, result), netns=container)
    if words:
        assert answer.document["code"] == 999
        assert words in answer.document["msg"]
    else:
        assert answer.status == 0


@pytest.mark.thorough
def test_check_names_another_owner(cni: Cni, container: Space) -> None:
    """A tap that others may open by now is told, with who was to open it."""
    wanted = conf(owner=1000, group=0)
    result = cni.ok("tap", "ADD", wanted, netns=container)
    give_to(container, 7)
    error = cni.refused("tap", "CHECK", with_result(wanted, result), netns=container)
    words = "it is user 7 group 0, not user 1000 group 0"
    assert error["msg"] == f"check interface eth0: {words}"


@pytest.mark.thorough
def test_status_goes_by_the_device(
    cni: Cni, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code 50 where taps cannot be made, and ADD changes nothing there."""
    cni.ok("tap", "STATUS", conf())
    full = {"type": "host-local", "subnet": "10.1.2.0/30", "rangeEnd": "10.1.2.1"}
    assert cni.refused("tap", "STATUS", conf(ipam=full))["code"] == 50
    before = picture(container)
    monkeypatch.setattr("cni_common.kernel.taps._DEVICE", "/dev/net/absent")
    missing = "open /dev/net/absent: no such file or directory"
    error = cni.refused("tap", "STATUS", conf())
    assert (error["code"], error["msg"]) == (50, missing)
    error = cni.refused("tap", "ADD", conf(), netns=container)
    assert (error["code"], error["msg"]) == (999, missing)
    assert picture(container) == before


@pytest.mark.thorough
def test_host_has_a_link_of_that_name(cni: Cni, container: Space) -> None:
    """The container's eth0 is made beside the host's, which stays as it is."""
    run("ip", "tuntap", "add", "eth0", "mode", "tap")
    before = run("ip", "link", "show", "eth0")
    cni.ok("tap", "ADD", conf(), netns=container)
    cni.ok("tap", "DEL", conf(), netns=container)
    assert run("ip", "link", "show", "eth0") == before
