# SPDX-License-Identifier: Apache-2.0
"""dhcp behind the plugins that make a link: that is there before it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.dhcp.helpers import Keeper, Lan, recorded, until
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host

KEYS: dict[str, dict[str, Any]] = {
    "bridge": {"bridge": "br0"},
    "macvlan": {"master": "up0"},
    "host-device": {"device": "up0"},
    "ipvlan": {"master": "up0"},
}
PLUGINS = [
    pytest.param(plugin, marks=pytest.mark.needs_kernel(plugin))
    if plugin == "ipvlan"
    else plugin
    for plugin in KEYS
]


def uplinked(host: Host, lan: Lan) -> None:
    """Have the host at the bridge as a machine would be, by a link of its own."""
    del host
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    run("ip", "link", "set", "up1", "master", "br0", "up")
    run("ip", "link", "set", "up0", "up")
    lan.serve("--dhcp-option=option:router,10.77.0.1")


@pytest.mark.parametrize("plugin", PLUGINS)
def test_address_of_the_network_is_leased_by_the_link(
    host: Host, lan: Lan, keeper: Keeper, cni: Cni, plugin: str
) -> None:
    """The container talks by it; DEL gives it back while the link is there."""
    del keeper
    uplinked(host, lan)
    space = host.space()
    conf = {"cniVersion": "1.1.0", "name": "net", "type": plugin, **KEYS[plugin]}
    conf["ipam"] = {"type": "dhcp"}
    result = cni.ok(plugin, "ADD", conf, netns=space)
    (ip,) = result["ips"]
    address = ip["address"].partition("/")[0]
    (shown,) = space.ip("addr", "show", "eth0")
    assert address in [each["local"] for each in shown["addr_info"]]
    assert lan.leased() == {address: shown["address"]}
    assert space.reaches("10.77.0.1")
    cni.ok(plugin, "CHECK", {**conf, "prevResult": result}, netns=space)
    assert cni.ok(plugin, "ADD", conf, netns=space) == result
    cni.ok(plugin, "DEL", conf, netns=space)
    until(lambda: not lan.leased())
    until(lambda: recorded() == [])
    assert [link["ifname"] for link in space.ip("link", "show")] == ["lo"]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_link_goes_again_where_nobody_serves(
    host: Host, lan: Lan, keeper: Keeper, cni: Cni, plugin: str
) -> None:
    """An ADD without an address has changed nothing."""
    del keeper
    uplinked(host, lan)
    lan.silence()
    space = host.space()
    conf = {"cniVersion": "1.1.0", "name": "net", "type": plugin, **KEYS[plugin]}
    conf["ipam"] = {"type": "dhcp", "timeout": 1}
    before = picture(space)
    error = cni.refused(plugin, "ADD", conf, netns=space)
    assert error["msg"] == "lease address for eth0: no server answered"
    until(lambda: picture(space) == before)  # a port forwards again in a moment
    until(lambda: recorded() == [])


def test_collected_bridge_gives_its_lease_back(
    host: Host, lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """GC of the bridge does so by the link, which goes after it."""
    del keeper
    uplinked(host, lan)
    space = host.space()
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0"}
    conf["ipam"] = {"type": "dhcp"}
    cni.ok("bridge", "ADD", conf, netns=space)
    cni.ok("bridge", "GC", {**conf, "cni.dev/valid-attachments": []})
    until(lambda: not lan.leased())
    until(lambda: recorded() == [])


@pytest.mark.needs_kernel("ipvlan")
def test_neighbours_with_one_mac_have_an_address_each(
    host: Host, lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """The server tells them apart by their identifiers, and answers to everybody."""
    del keeper
    uplinked(host, lan)
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "ipvlan", "master": "up0"}
    conf["ipam"] = {"type": "dhcp"}
    spaces = [host.space() for _ in range(3)]
    given = set()
    for number, space in enumerate(spaces):
        result = cni.ok("ipvlan", "ADD", conf, netns=space, container_id=f"c{number}")
        given.add(result["ips"][0]["address"].partition("/")[0])
    assert set(lan.leased()) == given
    assert len(given) == 3
    assert len(set(lan.leased().values())) == 1
    for number, space in enumerate(spaces):
        cni.ok("ipvlan", "DEL", conf, netns=space, container_id=f"c{number}")
    until(lambda: not lan.leased())
