# SPDX-License-Identifier: Apache-2.0
"""tap: what each key does, and what is refused before anything is changed."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bridge.helpers import with_result
from netns.tap.answering import attach
from netns.tap.helpers import (
    GUEST,
    attach_as,
    bridged,
    conf,
    details,
    device,
    guest,
)
from pictures import picture

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Space

# test_lifecycle.py says enough of another kernel's taps.
pytestmark = [pytest.mark.needs_kernel("tap"), pytest.mark.thorough]
MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"]


@pytest.mark.parametrize(
    ("keys", "args", "mac"),
    [
        ({"mac": MACS[0]}, "", MACS[0]),
        ({"mac": MACS[0], "owner": 1000, "group": 1000}, "", MACS[0]),
        ({"mac": MACS[0]}, f"MAC={MACS[1]}", MACS[1]),
        (
            {"mac": MACS[0], "runtimeConfig": {"mac": MACS[2]}},
            f"MAC={MACS[1]}",
            MACS[2],
        ),
    ],
)
def test_mac_that_is_asked_for(
    cni: Cni, container: Space, keys: dict[str, Any], args: str, mac: str
) -> None:
    """The runtime's MAC counts first; owner and group do not cost it."""
    wanted = conf(**keys)
    result = cni.ok("tap", "ADD", wanted, netns=container, args=args)
    assert result["interfaces"][0]["mac"] == details(container)["address"] == mac
    cni.ok("tap", "CHECK", with_result(wanted, result), netns=container, args=args)


@pytest.mark.parametrize(
    ("keys", "allowed"),
    [
        ({"owner": 1000}, {(1000, 7)}),
        ({"group": 2000}, {(7, 2000)}),
        ({"owner": 1000, "group": 2000}, {(1000, 2000)}),
        ({"owner": 0, "group": 0}, set()),
        ({"owner": 4294967294}, {(4294967294, 7)}),
    ],
)
def test_owner_and_group_may_open_it(
    cni: Cni, container: Space, keys: dict[str, Any], allowed: set[tuple[int, int]]
) -> None:
    """Who is owner and of the group needs no privilege, and the others do."""
    result = cni.ok("tap", "ADD", conf(**keys), netns=container)
    users = {(1000, 7), (7, 2000), (1000, 2000), (4294967294, 7)}
    opened = {}
    for user in users:
        with device(container) as tun:
            opened[user] = attach_as(tun, *user)
    matching = {
        (uid, gid)
        for uid, gid in users
        if keys.get("owner") in {None, uid} and keys.get("group") in {None, gid}
    }
    assert allowed <= matching
    assert {user for user in users if opened[user] == 0} == matching
    assert {opened[user] for user in users - matching} <= {errno.EPERM}
    cni.ok("tap", "CHECK", with_result(conf(**keys), result), netns=container)


@pytest.mark.parametrize("queues", [True, False])
def test_multi_queue_is_opened_several_times(
    cni: Cni, container: Space, *, queues: bool
) -> None:
    """With `multiQueue` two processes have the tap at once, and without it one."""
    result = cni.ok("tap", "ADD", conf(multiQueue=queues), netns=container)
    assert bool(details(container).get("multi_queue")) == queues
    with device(container) as one, device(container) as two:
        attach(one, queues=queues)
        if queues:
            attach(two, queues=True)
        else:
            with pytest.raises(OSError, match="busy"):
                attach(two)
    stored = with_result(conf(multiQueue=not queues), result)
    error = cni.refused("tap", "CHECK", stored, netns=container)
    assert error["msg"].startswith("check interface eth0: it is ")


def test_mtu_is_set(cni: Cni, container: Space) -> None:
    """The tap has the MTU that is asked for, also one above 1500."""
    result = cni.ok("tap", "ADD", conf(mtu=9000), netns=container)
    assert result["interfaces"][0]["mtu"] == details(container)["mtu"] == 9000


def test_port_of_a_bridge_of_the_container(cni: Cni, container: Space) -> None:
    """What is behind the tap is reached by the bridge, where the address is."""
    bridged(container)
    container.run("ip", "addr", "add", "10.90.0.9/24", "dev", "br0")
    before = picture(container)
    wanted = conf(bridge="br0", ipam=None)
    result = cni.ok("tap", "ADD", wanted, netns=container, ifname="net1")
    assert details(container, "net1")["master"] == "br0"
    stored = with_result(wanted, result)
    cni.ok("tap", "CHECK", stored, netns=container, ifname="net1")
    with guest(container, "net1"):
        assert any(container.reaches(GUEST) for _ in range(5))
    cni.ok("tap", "DEL", stored, netns=container, ifname="net1")
    container.run("ip", "neigh", "flush", "all")
    assert picture(container) == before


def test_bridge_of_the_host_is_none_of_the_container(
    cni: Cni, container: Space
) -> None:
    """A bridge that the host alone has is refused, with where it is looked for."""
    run("ip", "link", "add", "br0", "type", "bridge")
    before = picture(container)
    error = cni.refused("tap", "ADD", conf(bridge="br0"), netns=container)
    assert error["msg"] == "find bridge br0 in the container: no such device"
    assert error["details"].startswith("a tap in the container can be a port of")
    assert picture(container) == before


def test_label_without_selinux_is_refused(cni: Cni, container: Space) -> None:
    """Where nobody labels anything no tap is made without its label."""
    context = "system_u:system_r:container_t:s0"
    before = picture(container)
    wanted = conf(selinuxContext=context)
    error = cni.refused("tap", "ADD", wanted, netns=container)
    assert error["msg"] == f"set SELinux context '{context}': Invalid argument"
    assert error["details"].startswith("SELinux is not in use here")
    assert picture(container) == before


def test_tap_outlives_the_labelled_child_that_makes_it(
    cni: Cni, container: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a file in SELinux's place: the label is written first, the tap is whole."""
    label = tmp_path / "current"
    label.touch()
    monkeypatch.setattr("cni_common.kernel.taps._LABEL", str(label))
    wanted = conf(selinuxContext="a:b:c:s0", owner=1000, multiQueue=True)
    result = cni.ok("tap", "ADD", wanted, netns=container)
    assert label.read_text() == "a:b:c:s0"
    found = details(container)
    assert (found["type"], found["persist"], "user" in found) == ("tap", True, True)
    cni.ok("tap", "CHECK", with_result(wanted, result), netns=container)


BAD: list[tuple[dict[str, Any], str, tuple[int, str]]] = [
    ({"mtu": -1}, "", (7, "parse mtu: -1 is not between 0 and 65535")),
    ({"mtu": "1400"}, "", (7, "parse network configuration: mtu: ")),
    ({"mtu": 40}, "", (999, "set up tap eth0: ")),
    ({"mtu": 65535}, "", (999, "set up tap eth0: ")),
    ({"owner": -1}, "", (7, "parse owner: -1 is not between 0 and 4294967294")),
    ({"group": 2**32 - 1}, "", (7, "parse group: 4294967295 is not between 0 and")),
    ({"owner": "root"}, "", (7, "parse network configuration: owner: ")),
    ({"multiQueue": 1}, "", (7, "parse network configuration: multiQueue: ")),
    ({"selinuxContext": "\0"}, "", (999, "set SELinux context '")),
    ({"bridge": "../br0"}, "", (7, "parse bridge: interface name contains /")),
    ({"bridge": "lo"}, "", (999, "find bridge lo in the container: it is no bridge")),
    ({"mac": "nonsense"}, "", (7, "parse mac: 'nonsense' is not a MAC address")),
    ({"mac": "01:00:5e:00:00:01"}, "", (7, "parse mac: 01:00:5e:00:00:01 is not a un")),
    ({}, "MAC=7", (7, "parse CNI_ARGS MAC: '7' is not a MAC address")),
    ({}, "COLOR=red", (4, "parse CNI_ARGS: unknown keys ['COLOR']")),
    ({"ipam": None, "cniVersion": "0.2.0"}, "", (7, "parse ipam: a result of 0.2.0")),
    ({"ipam": {"type": "static"}}, "", (999, "IPAM plugin returned missing IP config")),
    ({"ipam": {"type": "absent"}}, "", (999, "find plugin 'absent': not in CNI_PATH")),
]


@pytest.mark.parametrize(("keys", "args", "expected"), BAD)
def test_bad_input_changes_nothing(
    cni: Cni,
    container: Space,
    keys: dict[str, Any],
    args: str,
    expected: tuple[int, str],
) -> None:
    """What cannot be done is refused with a code and a cause, and nothing changes."""
    before = picture(container)
    error = cni.refused("tap", "ADD", conf(**keys), netns=container, args=args)
    code, msg = expected
    assert (error["code"], error["msg"][: len(msg)]) == (code, msg)
    assert picture(container) == before
