# SPDX-License-Identifier: Apache-2.0
"""bridge with VLANs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bridge.helpers import IPV4, addresses, conf, layer2, with_result

if TYPE_CHECKING:
    from lab import Cni, Host

pytestmark = pytest.mark.needs_kernel("vlan_filtering")


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
    cni: Cni, host: Host, keys: dict[str, Any], expected: Any
) -> None:
    """vlan is the port's own, a trunk is tagged, the default VLAN goes unless kept."""
    space = host.space()
    wanted = layer2(**keys)
    result = cni.ok("bridge", "ADD", wanted, netns=space)
    assert of_port(result) == expected
    cni.ok("bridge", "CHECK", with_result(wanted, result), netns=space)


def test_only_the_same_vlan_is_reached(cni: Cni, host: Host) -> None:
    """Containers of one VLAN reach each other, those of another do not."""
    spaces = {}
    for name, vlan in (("one", 5), ("two", 5), ("three", 6)):
        spaces[name] = host.space()
        wanted = conf(isGateway=False, vlan=vlan, ipam={**IPV4, "routes": []})
        cni.ok("bridge", "ADD", wanted, netns=spaces[name], container_id=name)
    assert spaces["one"].reaches("10.1.2.3")
    assert not spaces["one"].reaches("10.1.2.4")


def test_gateway_has_a_foot_in_the_vlan(cni: Cni, host: Host) -> None:
    """The gateway of a VLAN is br0.5, it is reached and stands in the result."""
    space = host.space()
    result = cni.ok("bridge", "ADD", conf(vlan=5), netns=space)
    assert [i["name"] for i in result["interfaces"]][3] == "br0.5"
    assert addresses("br0.5") == ["10.1.2.1/24"]
    assert space.reaches("10.1.2.1")


def test_foot_is_called_by_the_bridge_s_own_name(cni: Cni, host: Host) -> None:
    """Who names the bridge by an alternative name has the foot that others have."""
    run("ip", "link", "add", "br0", "type", "bridge", "vlan_filtering", "1")
    other = "the-lan-of-the-first-floor"
    run("ip", "link", "property", "add", "dev", "br0", "altname", other)
    space = host.space()
    result = cni.ok("bridge", "ADD", conf(vlan=5, bridge=other), netns=space)
    assert [i["name"] for i in result["interfaces"]][3] == "br0.5"
    assert space.reaches("10.1.2.1")


def test_lost_vlan_is_noticed(cni: Cni, host: Host) -> None:
    """CHECK compares the VLANs of the port."""
    space = host.space()
    wanted = layer2(vlan=5)
    result = cni.ok("bridge", "ADD", wanted, netns=space)
    name = result["interfaces"][1]["name"]
    run("bridge", "vlan", "del", "dev", name, "vid", "5")
    error = cni.refused("bridge", "CHECK", with_result(wanted, result), netns=space)
    assert error["msg"] == f"check bridge port {name}: it lacks VLAN 5"
    assert error["details"] == "it has none"


def test_missing_vlans_are_told(cni: Cni, host: Host) -> None:
    """CHECK names the VLANs that the port lacks, and what it has instead."""
    space = host.space()
    wanted = layer2(vlan=5, vlanTrunk=[{"minID": 7, "maxID": 9}])
    result = cni.ok("bridge", "ADD", wanted, netns=space)
    name = result["interfaces"][1]["name"]
    run("bridge", "vlan", "add", "dev", name, "vid", "6", "pvid", "untagged")
    for vid in ("5", "8"):
        run("bridge", "vlan", "del", "dev", name, "vid", vid)
    error = cni.refused("bridge", "CHECK", with_result(wanted, result), netns=space)
    assert error["msg"] == f"check bridge port {name}: it lacks VLAN 5, 8"
    assert error["details"] == "it has 6, 7, 9, of which 6 untagged"


def test_bridge_without_a_default_vlan(cni: Cni, host: Host) -> None:
    """A port that comes without any VLAN gets those that were asked for."""
    bridge = ("ip", "link", "add", "br0", "type", "bridge")
    run(*bridge, "vlan_filtering", "1", "vlan_default_pvid", "0")
    result = cni.ok("bridge", "ADD", layer2(vlan=5), netns=host.space())
    assert of_port(result) == [(5, OWN)]
