# SPDX-License-Identifier: Apache-2.0
"""Gateways that are none of the subnet's addresses: link-local, or from elsewhere."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from faults import refused
from lab import ip, reaches, run
from netns.bridge.helpers import addresses, conf, held, with_result
from pictures import picture

from cni_common import masquerade

if TYPE_CHECKING:
    from lab import Cni, Host, Space

OUTSIDE = [
    ("fd00:1::/64", "fe80::1"),
    ("fd00:1::/64", "fd99::1"),
    ("10.1.2.0/24", "169.254.1.1"),
    ("10.1.2.0/24", "10.99.0.1"),
]
ANY = {4: "0.0.0.0/0", 6: "::/0"}
NEIGHBOUR = {4: "198.51.100.2", 6: "2001:db8:99::2"}


def outside(subnet: str, gateway: str, **keys: Any) -> dict[str, Any]:
    """Return a list's plugin whose containers have a default route by `gateway`."""
    range_ = {"subnet": subnet, "gateway": gateway}
    routes = [{"dst": ANY[ip_network(subnet).version]}]
    ipam = {"type": "host-local", "ranges": [[range_]], "routes": routes}
    return conf(ipam=ipam, **keys)


def routes_to(subnet: str, *options: str) -> list[str]:
    """Return the links by which the host reaches `subnet`."""
    family = f"-{ip_network(subnet).version}"
    return [route["dev"] for route in ip(family, "route", "show", subnet, *options)]


@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
@pytest.mark.parametrize(("subnet", "gateway"), OUTSIDE)
def test_containers_and_host_reach_each_other(
    cni: Cni, host: Host, plugin: str, subnet: str, gateway: str
) -> None:
    """Host, containers and the world beyond reach each other, both ways."""
    host.outside()
    version = ip_network(subnet).version
    # Its own link-local address is new, too: until then it asks for no neighbour.
    assert any(reaches(NEIGHBOUR[version]) for _ in range(9))
    wanted = outside(subnet, gateway, type=plugin, ipMasq=True)
    for name in ("one", "two"):
        space = host.space()
        result = cni.ok(plugin, "ADD", wanted, netns=space, container_id=name)
        own = result["ips"][0]["address"].partition("/")[0]
        assert reaches(own)
        assert space.reaches(NEIGHBOUR[version])
        checked = with_result(wanted, result)
        cni.ok(plugin, "CHECK", checked, netns=space, container_id=name)
    first = host.spaces[1]
    assert first.reaches(own)


@pytest.mark.parametrize(("subnet", "gateway"), OUTSIDE)
def test_route_stays_with_the_bridge(
    cni: Cni, host: Host, subnet: str, gateway: str
) -> None:
    """The subnet is on the bridge once, whoever comes and goes; CHECK misses it."""
    wanted = outside(subnet, gateway)
    for name in ("one", "two"):
        space = host.space()
        result = cni.ok("bridge", "ADD", wanted, netns=space, container_id=name)
        assert routes_to(subnet) == ["br0"]
    cni.ok("bridge", "DEL", wanted, netns=host.spaces[0], container_id="one")
    run("ip", "route", "del", subnet, "dev", "br0")
    checked = with_result(wanted, result)
    error = cni.refused("bridge", "CHECK", checked, netns=space, container_id="two")
    assert error["msg"] == f"check interface br0: it lacks the route {subnet}"
    cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id="three")
    assert routes_to(subnet) == ["br0"]


def test_bridge_has_the_gateway_by_itself(cni: Cni, container: Space) -> None:
    """A gateway from elsewhere brings no subnet of its own to the bridge."""
    cni.ok("bridge", "ADD", outside("10.1.2.0/24", "10.99.0.1"), netns=container)
    assert addresses("br0") == ["10.99.0.1/32"]
    assert routes_to("10.99.0.0/24") == []


def test_two_networks_with_one_gateway(cni: Cni, host: Host) -> None:
    """Networks of one bridge, and of two, may have the same link-local gateway."""
    spaces = {}
    for number, bridge in enumerate(("br0", "br0", "br1")):
        subnet, name = f"fd00:{number}::/64", f"net{number}"
        wanted = {**outside(subnet, "fe80::1"), "name": name, "bridge": bridge}
        spaces[number] = host.space()
        cni.ok("bridge", "ADD", wanted, netns=spaces[number], container_id=name)
        assert routes_to(subnet) == [bridge]
    for number in spaces:
        assert reaches(held(spaces[number])[0].partition("/")[0])


@pytest.mark.parametrize(("subnet", "gateway"), OUTSIDE)
def test_failed_add_takes_the_route_back(
    cni: Cni,
    container: Space,
    monkeypatch: pytest.MonkeyPatch,
    subnet: str,
    gateway: str,
) -> None:
    """A bridge that was there has neither route nor address when ADD failed."""
    run("ip", "link", "add", "br0", "type", "bridge")
    before = picture(container)

    def refuse(*_: object) -> None:
        assert routes_to(subnet) == ["br0"]
        raise refused()

    monkeypatch.setattr(masquerade, "ensure", refuse)
    wanted = outside(subnet, gateway, ipMasq=True)
    cni.refused("bridge", "ADD", wanted, netns=container)
    assert picture(container) == before


def test_subnet_of_the_host_by_a_foreign_gateway(cni: Cni, host: Host) -> None:
    """The subnet counts, not the gateway, when it is the host's own."""
    neighbour = host.outside()
    wanted = outside("198.51.100.0/24", "169.254.1.1")
    error = cni.refused("bridge", "ADD", wanted, netns=host.space())
    msg = "use subnet 198.51.100.0/24: the host has 198.51.100.1/24 on eth0"
    assert error["msg"] == msg
    assert neighbour.reaches("198.51.100.1")


@pytest.mark.parametrize("address", ["10.1.2.9/32", "fd00:1::9/128"])
def test_single_address_is_refused(cni: Cni, container: Space, address: str) -> None:
    """A bridge is no gateway of a subnet of one address; ptp is for that."""
    gateway = "10.1.2.1" if "." in address else "fe80::1"
    given = {"address": address, "gateway": gateway}
    wanted = conf(ipam={"type": "static", "addresses": [given]})
    before = picture(container)
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["msg"] == f"use address {address}: its subnet has none for the bridge"
    assert "ptp" in error["details"]
    assert picture(container) == before
    cni.ok("ptp", "ADD", {**wanted, "type": "ptp"}, netns=container)
    assert reaches(address.partition("/")[0])


@pytest.mark.parametrize("plugin", ["macvlan", "host-device"])
@pytest.mark.parametrize(("subnet", "gateway"), OUTSIDE)
def test_router_outside_of_the_subnet(
    cni: Cni, host: Host, plugin: str, subnet: str, gateway: str
) -> None:
    """macvlan and host-device reach the world by a router that is on the link only."""
    router = host.outside()
    version = ip_network(subnet).version
    world = {4: "192.0.2.7/32", 6: "2001:db8:5::7/128"}[version]
    length = 64 if gateway.startswith("fe80") else ip_network(gateway).prefixlen
    nodad = ["nodad"] if version == 6 else []
    router.run("ip", "addr", "add", f"{gateway}/{length}", "dev", "eth0", *nodad)
    router.run("ip", "addr", "add", world, "dev", "lo", *nodad)
    router.run("ip", "route", "add", subnet, "dev", "eth0")
    wanted = outside(subnet, gateway, type=plugin, master="eth0", device="eth0")
    space = host.space()
    result = cni.ok(plugin, "ADD", wanted, netns=space)
    assert space.reaches(world.partition("/")[0])
    cni.ok(plugin, "CHECK", with_result(wanted, result), netns=space)


def test_route_by_a_stranger_is_the_kernels_to_refuse(
    cni: Cni, container: Space
) -> None:
    """Only gateways of the addresses are taken to be on the link."""
    wanted = outside("10.1.2.0/24", "10.99.0.1")
    wanted["ipam"]["routes"] = [{"dst": "192.0.2.0/24", "gw": "10.77.0.1"}]
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["msg"].startswith("add route 192.0.2.0/24 via 10.77.0.1: ")
