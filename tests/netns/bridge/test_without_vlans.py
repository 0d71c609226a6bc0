# SPDX-License-Identifier: Apache-2.0
"""bridge where VLANs are asked of a bridge or a kernel that cannot tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kernel_features
import pytest
from lab import ip, run
from netns.bridge.helpers import conf, layer2

if TYPE_CHECKING:
    from lab import Cni, Space


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
    if kernel_features.has("vlan_filtering"):
        pytest.skip("the kernel has VLAN filtering")
    error = cni.refused("bridge", "ADD", conf(vlan=5), netns=container)
    assert error["msg"] == "add bridge br0: no VLAN filtering in this kernel"
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]
