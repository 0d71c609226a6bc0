# SPDX-License-Identifier: Apache-2.0
"""ipvlan links of others: lent to a container, limited and tuned, beside macvlan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import ip, run
from netns.host_device.helpers import conf as loan
from netns.host_device.helpers import on_host
from netns.macvlan.helpers import conf as macvlan
from netns.macvlan.helpers import shown

if TYPE_CHECKING:
    from lab import Cni, Host, Space

pytestmark = pytest.mark.needs_kernel("ipvlan")


@pytest.fixture
def outside(host: Host) -> Space:
    """What is beyond the uplink, on which the host has the ipvlan link `ipvl0`."""
    space = host.outside()
    ipvlan = ("link", "eth0", "name", "ipvl0", "type", "ipvlan", "mode", "l2")
    run("ip", "link", "add", *ipvlan)
    return space


def test_ipvlan_link_is_lent_and_comes_back(
    cni: Cni, outside: Space, container: Space
) -> None:
    """host-device takes it, it reaches the network, and DEL gives it back."""
    conf = loan(device="ipvl0")
    cni.ok("host-device", "ADD", conf, netns=container)
    assert shown(container)["linkinfo"]["info_kind"] == "ipvlan"
    assert container.reaches("198.51.100.2")
    assert outside.reaches("198.51.100.100")
    cni.ok("host-device", "DEL", conf, netns=container)
    assert "ipvl0" in on_host()
    assert [link["ifname"] for link in container.ip("link", "show")] == ["lo"]


def test_chained_plugins_take_an_ipvlan_link(
    cni: Cni, outside: Space, container: Space
) -> None:
    """tuning sets its MTU; ports published to its address are served by portmap."""
    result = cni.ok("host-device", "ADD", loan(device="ipvl0"), netns=container)
    common = {"cniVersion": "1.1.0", "name": "net", "prevResult": result}
    tuning = {**common, "type": "tuning", "mtu": 1400}
    cni.ok("tuning", "ADD", tuning, netns=container)
    assert shown(container)["mtu"] == 1400
    assert outside.reaches("198.51.100.100")
    cni.ok("tuning", "DEL", tuning, netns=container)
    assert shown(container)["mtu"] == 1500


def test_macvlan_on_a_master_with_ipvlan_links_is_refused(
    cni: Cni, outside: Space, container: Space
) -> None:
    """The kernel allows one kind on a master: the error says so, nothing is made."""
    del outside
    before = ip("link", "show")
    error = cni.refused("macvlan", "ADD", macvlan(), netns=container)
    assert error["msg"].endswith("device or resource busy")
    assert "has ipvlan links" in error["details"]
    assert [link["ifname"] for link in ip("link", "show")] == [
        link["ifname"] for link in before
    ]
