# SPDX-License-Identifier: Apache-2.0
"""bridge with VLANs; skipped where the kernel's bridges do not know them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from bridged import IPV4, addresses, conf, layer2, with_result
from lab import ip, run

from cni_common.kernel import bridges, links
from cni_common.kernel.netlink import Netlink

if TYPE_CHECKING:
    from lab import Cni, Host, Space

PROBE = ("ip", "link", "add", "probe0", "type", "bridge", "vlan_filtering", "1")


def kernel_has_vlans() -> bool:
    """Tell whether a bridge of this kernel can filter VLANs."""
    ended = subprocess.run(PROBE, capture_output=True, check=False)
    if ended.returncode == 0:
        run("ip", "link", "del", "probe0")
    return ended.returncode == 0


@pytest.fixture
def vlans(host: Host) -> Host:
    """A host whose bridges filter VLANs."""
    if not kernel_has_vlans():
        pytest.skip("the kernel has no CONFIG_BRIDGE_VLAN_FILTERING")
    return host


def test_port_without_vlans_carries_none(host: Host) -> None:
    """A port of which the kernel tells no VLAN carries none."""
    del host
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "add", "v1", "master", "br0", "type", "veth", "peer", "v2")
    if kernel_has_vlans():
        run("bridge", "vlan", "del", "dev", "v1", "vid", "1")
    with Netlink() as netlink:
        port = links.existing(netlink, "v1")
        carried = bridges.vlans(netlink, port)
    assert carried == bridges.PortVlans(0, frozenset(), frozenset())


def of_port(result: dict[str, Any]) -> list[tuple[int, tuple[str, ...]]]:
    """Return the VLANs of the host's end with their flags, as bridge(8) shows them."""
    import json  # noqa: PLC0415 - one reader

    name = result["interfaces"][1]["name"]
    (shown,) = json.loads(run("bridge", "-j", "vlan", "show", "dev", name))
    return [(v["vlan"], tuple(v.get("flags", []))) for v in shown["vlans"]]


OWN = ("PVID", "Egress Untagged")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"vlan": 5}, [(5, OWN)]),
        ({"vlan": 5, "preserveDefaultVlan": True}, [(1, OWN[1:]), (5, OWN)]),
        ({"vlanTrunk": [{"minID": 7, "maxID": 8}]}, [(1, OWN), (7, ()), (8, ())]),
        ({"vlan": 5, "vlanTrunk": [{"id": 7}]}, [(5, OWN), (7, ())]),
        ({"vlanTrunk": []}, [(1, OWN)]),
    ],
)
def test_vlans_of_the_port(
    cni: Cni, vlans: Host, keys: dict[str, Any], expected: Any
) -> None:
    """vlan is the port's own, a trunk is tagged, the default VLAN goes unless kept."""
    space = vlans.space()
    wanted = layer2(**keys)
    result = cni.ok("bridge", "ADD", wanted, netns=space)
    assert of_port(result) == expected
    cni.ok("bridge", "CHECK", with_result(wanted, result), netns=space)


def test_only_the_same_vlan_is_reached(cni: Cni, vlans: Host) -> None:
    """Containers of one VLAN reach each other, those of another do not."""
    spaces = {}
    for name, vlan in (("one", 5), ("two", 5), ("three", 6)):
        spaces[name] = vlans.space()
        wanted = conf(isGateway=False, vlan=vlan, ipam={**IPV4, "routes": []})
        cni.ok("bridge", "ADD", wanted, netns=spaces[name], container_id=name)
    assert spaces["one"].reaches("10.1.2.3")
    assert not spaces["one"].reaches("10.1.2.4")


def test_gateway_has_a_foot_in_the_vlan(cni: Cni, vlans: Host) -> None:
    """The gateway of a VLAN is br0.5, it is reached and stands in the result."""
    space = vlans.space()
    result = cni.ok("bridge", "ADD", conf(vlan=5), netns=space)
    assert [i["name"] for i in result["interfaces"]][3] == "br0.5"
    assert addresses("br0.5") == ["10.1.2.1/24"]
    assert space.reaches("10.1.2.1")


def test_lost_vlan_is_noticed(cni: Cni, vlans: Host) -> None:
    """CHECK compares the VLANs of the port."""
    space = vlans.space()
    wanted = layer2(vlan=5)
    result = cni.ok("bridge", "ADD", wanted, netns=space)
    name = result["interfaces"][1]["name"]
    run("bridge", "vlan", "del", "dev", name, "vid", "5")
    error = cni.refused("bridge", "CHECK", with_result(wanted, result), netns=space)
    assert error["msg"] == f"check bridge port {name}: it lacks VLAN 5"
    assert error["details"] == "it has none"


def test_missing_vlans_are_told(cni: Cni, vlans: Host) -> None:
    """CHECK names the VLANs that the port lacks, and what it has instead."""
    space = vlans.space()
    wanted = layer2(vlan=5, vlanTrunk=[{"minID": 7, "maxID": 9}])
    result = cni.ok("bridge", "ADD", wanted, netns=space)
    name = result["interfaces"][1]["name"]
    run("bridge", "vlan", "add", "dev", name, "vid", "6", "pvid", "untagged")
    for vid in ("5", "8"):
        run("bridge", "vlan", "del", "dev", name, "vid", vid)
    error = cni.refused("bridge", "CHECK", with_result(wanted, result), netns=space)
    assert error["msg"] == f"check bridge port {name}: it lacks VLAN 5, 8"
    assert error["details"] == "it has 6, 7, 9, of which 6 untagged"


def test_bridge_without_a_default_vlan(cni: Cni, vlans: Host) -> None:
    """A port that comes without any VLAN gets those that were asked for."""
    bridge = ("ip", "link", "add", "br0", "type", "bridge")
    run(*bridge, "vlan_filtering", "1", "vlan_default_pvid", "0")
    result = cni.ok("bridge", "ADD", layer2(vlan=5), netns=vlans.space())
    assert of_port(result) == [(5, OWN)]


def test_bridge_without_filtering_is_refused(cni: Cni, container: Space) -> None:
    """An existing bridge that does not tell VLANs apart is an error, and unchanged."""
    run("ip", "link", "add", "br0", "type", "bridge")
    error = cni.refused("bridge", "ADD", conf(vlan=5), netns=container)
    assert error["msg"].startswith("set VLANs of bridge port veth")
    assert error["msg"].endswith(": bridge br0 has VLAN filtering off")
    assert [link["ifname"] for link in ip("link", "show")] == ["lo", "br0"]


def test_empty_trunk_asks_nothing_of_an_existing_bridge(
    cni: Cni, container: Space
) -> None:
    """vlanTrunk [] carries no VLAN, so that a plain bridge will do."""
    run("ip", "link", "add", "br0", "type", "bridge")
    cni.ok("bridge", "ADD", layer2(vlanTrunk=[]), netns=container)


def test_kernel_without_vlans_leaves_nothing(cni: Cni, container: Space) -> None:
    """Where the kernel has no VLAN filtering ADD says so and makes nothing."""
    if kernel_has_vlans():
        pytest.skip("the kernel has VLAN filtering")
    error = cni.refused("bridge", "ADD", conf(vlan=5), netns=container)
    assert error["msg"] == "add bridge br0: no VLAN filtering in this kernel"
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]
