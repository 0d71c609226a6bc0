# SPDX-License-Identifier: Apache-2.0
"""bridge: MACs that were asked for, that last, and that nobody rewrites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.bridge.helpers import conf, host_end, layer2

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def sysfs(link: str, attribute: str, space: Space | None = None) -> str:
    """Return an attribute of a link from a sysfs of its namespace."""
    read = f"cat /sys/class/net/{link}/{attribute}"
    if space:  # ip netns exec mounts one
        return space.run("sh", "-c", read).strip()
    mounted = f"mount -t sysfs sysfs /sys && {read}"
    return run("unshare", "-m", "sh", "-c", mounted).strip()


MACS = {
    "runtimeConfig": {"mac": "02:00:00:00:00:01"},
    "args": {"cni": {"mac": "02:00:00:00:00:02"}},
}


@pytest.mark.parametrize(
    ("keys", "cni_args", "expected"),
    [
        (MACS, "MAC=02:00:00:00:00:03", "02:00:00:00:00:01"),
        ({"args": MACS["args"]}, "MAC=02:00:00:00:00:03", "02:00:00:00:00:02"),
        ({}, "MAC=02-00-00-00-00-03", "02:00:00:00:00:03"),
        ({"runtimeConfig": {"MAC": "0200.0000.000A"}}, "", "02:00:00:00:00:0a"),
        ({"runtimeConfig": {"mac": ""}}, "MAC=02:00:00:00:00:03", "02:00:00:00:00:03"),
    ],
)
def test_mac_that_was_asked_for(
    cni: Cni, container: Space, keys: dict[str, Any], cni_args: str, expected: str
) -> None:
    """runtimeConfig.mac comes before args.cni.mac, which comes before CNI_ARGS."""
    result = cni.ok("bridge", "ADD", conf(**keys), netns=container, args=cni_args)
    assert container.ip("link", "show", "eth0")[0]["address"] == expected
    assert result["interfaces"][2]["mac"] == expected


@pytest.mark.parametrize(
    "mac", ["x", "02:00:00:00:00", "01:00:5e:00:00:01", "00:00:00:00:00:00", 5]
)
def test_bad_mac(cni: Cni, container: Space, mac: Any) -> None:
    """What is no MAC, or none that a link may have, is code 7 and makes nothing."""
    wanted = conf(runtimeConfig={"mac": mac})
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["code"] == 7
    assert error["msg"].startswith("parse runtimeConfig.mac: ")
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]


def test_names_and_macs_are_final(cni: Cni, container: Space) -> None:
    """Every MAC counts as set (addr_assign_type 3), so that udev leaves it alone."""
    result = cni.ok("bridge", "ADD", conf(), netns=container)
    assert sysfs("br0", "addr_assign_type") == "3"
    assert sysfs(host_end(result)["ifname"], "addr_assign_type") == "3"
    assert sysfs("eth0", "addr_assign_type", container) == "3"


def test_bridge_keeps_its_mac(cni: Cni, host: Host) -> None:
    """The bridge's MAC stays while ports come and go."""
    seen = set()
    for name in ("one", "two", "three"):
        space = host.space()
        cni.ok("bridge", "ADD", conf(), netns=space, container_id=name)
        seen.add(ip("link", "show", "br0")[0]["address"])
    for name in ("two", "one", "three"):
        cni.ok("bridge", "DEL", conf(), container_id=name)
        seen.add(ip("link", "show", "br0")[0]["address"])
    assert len(seen) == 1


HIGHEST = "fe:ff:ff:ff:ff:fe"  # any port of ours has a lower one


@pytest.mark.parametrize("has_uplink", [True, False])
@pytest.mark.parametrize("wanted", [conf(), conf(isGateway=False), layer2()])
def test_bridge_of_the_administrator_keeps_its_mac(
    cni: Cni, host: Host, wanted: dict[str, Any], *, has_uplink: bool
) -> None:
    """The MAC that a bridge had before the first port is its own from then on."""
    run("ip", "link", "add", "br0", "type", "bridge")
    if has_uplink:
        host.outside()
        run("ip", "link", "set", "eth0", "address", HIGHEST)
        run("ip", "link", "set", "eth0", "master", "br0")
    before = ip("link", "show", "br0")[0]["address"]
    assert not has_uplink or before == HIGHEST
    spaces = {name: host.space() for name in ("one", "two")}
    for name, space in spaces.items():
        result = cni.ok("bridge", "ADD", wanted, netns=space, container_id=name)
        assert result["interfaces"][0]["mac"] == before
    for name, space in spaces.items():
        cni.ok("bridge", "DEL", wanted, netns=space, container_id=name)
        assert ip("link", "show", "br0")[0]["address"] == before


def test_bridge_without_a_mac_gets_one_for_good(cni: Cni, host: Host) -> None:
    """A bridge that lost its last port, and its MAC, takes none from a container."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "add", "v1", "master", "br0", "type", "veth", "peer", "v2")
    run("ip", "link", "del", "v1")
    assert ip("link", "show", "br0")[0]["address"] == "00:00:00:00:00:00"
    one, two = host.space(), host.space()
    result = cni.ok("bridge", "ADD", conf(), netns=one, container_id="one")
    first = ip("link", "show", "br0")[0]["address"]
    assert first not in {host_end(result)["address"], "00:00:00:00:00:00"}
    assert result["interfaces"][0]["mac"] == first
    cni.ok("bridge", "ADD", conf(), netns=two, container_id="two")
    cni.ok("bridge", "DEL", conf(), netns=one, container_id="one")
    assert ip("link", "show", "br0")[0]["address"] == first
