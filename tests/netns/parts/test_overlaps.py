# SPDX-License-Identifier: Apache-2.0
"""bridge and ptp leave the host on its own network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import reaches, run
from netns.bridge.helpers import addresses, conf
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space


@pytest.fixture
def router(host: Host) -> Space:
    """The router 192.168.7.1 of a node that is 192.168.7.2 on its uplink eth0."""
    space = host.outside("198.51.100", "2001:db8:7")
    run("ip", "addr", "add", "192.168.7.2/24", "brd", "+", "dev", "eth0")
    space.run("ip", "addr", "add", "192.168.7.1/24", "brd", "+", "dev", "eth0")
    run("ip", "route", "add", "default", "via", "192.168.7.1")
    return space


def with_subnet(subnet: str, plugin: str = "bridge", **keys: Any) -> dict[str, Any]:
    """Return a list's plugin with one subnet and `keys` of the range."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": subnet, **keys}]]}
    return conf(type=plugin, ipam=ipam)


def with_address(address: str, plugin: str = "bridge", **keys: Any) -> dict[str, Any]:
    """Return a list's plugin with one static address."""
    own = {
        "address": address,
        **({"gateway": keys.pop("gateway")} if keys.get("gateway") else {}),
    }
    return conf(type=plugin, ipam={"type": "static", "addresses": [own]}, **keys)


TAKEN = [
    ("192.168.7.0/24", "192.168.7.2/24"),
    ("192.168.0.0/16", "192.168.7.2/24"),
    ("192.168.7.128/25", "192.168.7.2/24"),
    ("2001:db8:7::/64", "2001:db8:7::1/64"),
    ("2001:db8::/32", "2001:db8:7::1/64"),
    ("2001:db8:7::/120", "2001:db8:7::1/64"),
    ("127.0.0.0/24", "127.0.0.1/8"),
]


@pytest.mark.parametrize(("subnet", "held"), TAKEN)
@pytest.mark.parametrize("force", [False, True])
def test_bridge_does_not_take_the_network_of_the_host(
    cni: Cni, router: Space, container: Space, subnet: str, held: str, *, force: bool
) -> None:
    """A subnet in which the host has an address is refused, with both named."""
    before = picture(container)
    wanted = {**with_subnet(subnet), "forceAddress": force}
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    link = "lo" if held.startswith("127.") else "eth0"
    assert error["msg"] == f"use subnet {subnet}: the host has {held} on {link}"
    assert picture(container) == before
    assert reaches("192.168.7.1")
    assert router.reaches("192.168.7.2")


def test_bridge_that_exists_keeps_its_addresses(
    cni: Cni, router: Space, container: Space
) -> None:
    """forceAddress deletes nothing for a subnet that another link has."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", "10.9.9.9/24", "brd", "+", "dev", "br0")
    wanted = {**with_subnet("192.168.7.0/24"), "forceAddress": True}
    cni.refused("bridge", "ADD", wanted, netns=container)
    assert addresses("br0") == ["10.9.9.9/24"]
    assert router.reaches("192.168.7.2")


def test_bridge_with_the_uplink_has_the_network_itself(
    cni: Cni, router: Space, container: Space
) -> None:
    """An administrator's bridge that has the host's address may be the gateway."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "set", "br0", "up")
    run("ip", "addr", "flush", "dev", "eth0")
    run("ip", "link", "set", "eth0", "master", "br0")
    run("ip", "addr", "add", "192.168.7.2/24", "dev", "br0")
    keys = {"gateway": "192.168.7.2", "rangeStart": "192.168.7.100"}
    cni.ok("bridge", "ADD", with_subnet("192.168.7.0/24", **keys), netns=container)
    assert addresses("br0") == ["192.168.7.2/24"]
    assert router.reaches("192.168.7.2")
    assert router.reaches("192.168.7.100")


ALLOWED: dict[str, list[tuple[str, ...]]] = {
    "an overlay's own address": [("addr", "add", "10.1.2.0/32", "dev", "eth0")],
    "a wide route": [("route", "add", "10.0.0.0/8", "dev", "eth0")],
    "a summary": [("route", "add", "blackhole", "10.0.0.0/8")],
    "a network beside": [("addr", "add", "10.1.3.1/24", "dev", "eth0")],
}


@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
@pytest.mark.parametrize("commands", ALLOWED.values(), ids=list(ALLOWED))
def test_what_is_no_network_of_the_host(
    cni: Cni,
    router: Space,
    container: Space,
    plugin: str,
    commands: list[tuple[str, ...]],
) -> None:
    """Routes, single addresses and neighbouring networks are in nobody's way."""
    for command in commands:
        run("ip", *command)
    cni.ok(plugin, "ADD", with_subnet("10.1.2.0/24", plugin), netns=container)
    assert container.reaches("10.1.2.1")
    assert router.reaches("192.168.7.2")


@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
def test_part_of_an_ipv6_network_may_be_set_aside(
    cni: Cni, router: Space, container: Space, plugin: str
) -> None:
    """A longer prefix of the uplink's, without the host's own address, is given."""
    wanted = with_subnet("2001:db8:7:0:1::/80", plugin)
    cni.ok(plugin, "ADD", wanted, netns=container)
    assert container.reaches("2001:db8:7:0:1::1")
    assert router.reaches("2001:db8:7::1")


def test_networks_of_containers_may_overlap(cni: Cni, host: Host) -> None:
    """What was made for containers is no network of the host."""
    for name in ("one", "two"):
        wanted = {**conf(), "name": name, "bridge": name}
        cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id=name)
    assert addresses("one") == addresses("two") == ["10.1.2.1/24"]
    wanted = {**conf(type="ptp"), "name": "three"}
    cni.ok("ptp", "ADD", wanted, netns=host.space(), container_id="three")


@pytest.mark.parametrize(
    ("subnet", "held"),
    [
        ("192.168.7.0/24", "192.168.7.0/24"),
        ("192.168.0.0/16", "192.168.7.0/24"),
        ("2001:db8:7::/64", "2001:db8:7::/64"),
    ],
)
def test_ptp_is_no_neighbour_of_the_host(
    cni: Cni, router: Space, container: Space, subnet: str, held: str
) -> None:
    """The host's end does not become an address of the host's own network."""
    gateway = "192.168.7.1" if ":" not in subnet else "2001:db8:7::2"
    before = picture(container)
    wanted = with_subnet(subnet, "ptp", gateway=gateway)
    error = cni.refused("ptp", "ADD", wanted, netns=container)
    assert error["msg"] == f"use subnet {subnet}: the host has {held} on eth0"
    assert picture(container) == before
    assert router.reaches("192.168.7.2")


@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
def test_router_behind_a_route_of_its_own(
    cni: Cni, router: Space, container: Space, plugin: str
) -> None:
    """A gateway that the host reaches by a route to just that address stays its own."""
    router.run("ip", "addr", "add", "172.31.1.1/32", "dev", "eth0")
    run("ip", "route", "add", "172.31.1.1", "dev", "eth0")
    wanted = with_subnet("172.31.1.0/24", plugin)
    error = cni.refused(plugin, "ADD", wanted, netns=container)
    msg = "use subnet 172.31.1.0/24: the host has 172.31.1.1/32 on eth0"
    assert error["msg"] == msg
    assert reaches("172.31.1.1")


def test_ptp_with_addresses_of_the_lan(
    cni: Cni, router: Space, container: Space
) -> None:
    """Addresses of the host's network are given by a gateway that is the host's."""
    run("sysctl", "-qw", "net.ipv4.conf.eth0.proxy_arp=1")
    keys = {"gateway": "192.168.7.2", "rangeStart": "192.168.7.100"}
    cni.ok("ptp", "ADD", with_subnet("192.168.7.0/24", "ptp", **keys), netns=container)
    assert router.reaches("192.168.7.100")
    assert router.reaches("192.168.7.2")


@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
@pytest.mark.parametrize("address", ["192.168.7.2/24", "2001:db8:7::1/64"])
def test_container_does_not_get_the_address_of_the_host(
    cni: Cni, router: Space, container: Space, plugin: str, address: str
) -> None:
    """An address that the host has on the same network is refused by name."""
    link = "eth0"
    if plugin == "bridge":
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "link", "set", "br0", "up")
        run("ip", "addr", "flush", "dev", "eth0")
        run("ip", "addr", "add", address, "dev", "br0")
        link = "br0"
    gateway = {"gateway": "10.9.9.9" if "." in address else "fe80::1"}
    wanted = with_address(address, plugin, isGateway=False, **gateway)
    error = cni.refused(plugin, "ADD", wanted, netns=container)
    assert error["msg"] == f"use address {address}: the host has it on {link}"
    own = run("ip", "-o", "addr", "show", "dev", link)
    assert f" {address} " in own
    assert router.ip("link", "show", "eth0")


def test_isolated_bridge_may_have_an_address_of_the_host(
    cni: Cni, router: Space, container: Space
) -> None:
    """On a bridge that the host is not on, its address is somebody else's."""
    wanted = with_address("192.168.7.2/24", isGateway=False)
    cni.ok("bridge", "ADD", wanted, netns=container)
    assert router.reaches("192.168.7.2")


@pytest.mark.needs_kernel("vrf")
@pytest.mark.parametrize(
    ("plugin", "on"),
    [
        ("bridge", "the VRF"),
        ("ptp", "a port of it"),
        pytest.param("bridge", "a port of it", marks=pytest.mark.thorough),
        pytest.param("ptp", "the VRF", marks=pytest.mark.thorough),
    ],
)
def test_network_in_a_vrf_is_apart(
    cni: Cni, router: Space, container: Space, plugin: str, on: str
) -> None:
    """A VRF and the links in it have their own subnets, and neighbours there."""
    run("ip", "link", "add", "blue", "type", "vrf", "table", "100")
    run("ip", "link", "set", "blue", "up")
    link = "blue"
    if on != "the VRF":
        link = "v1"
        run("ip", "link", "add", "v1", "master", "blue", "type", "veth", "peer", "v2")
        run("ip", "link", "set", "v1", "up")
    run("ip", "addr", "add", "10.1.2.9/24", "dev", link)
    cni.ok(plugin, "ADD", with_subnet("10.1.2.0/24", plugin), netns=container)
    assert container.reaches("10.1.2.1")
    assert router.reaches("192.168.7.2")
