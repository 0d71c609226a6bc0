# SPDX-License-Identifier: Apache-2.0
"""bridge: the bridge as gateway, and the routes of the container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bridge.helpers import DUAL, IPV4, addresses, conf, held

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def ranges(*subnets: str, **keys: Any) -> dict[str, Any]:
    """Return a host-local configuration with one range set a subnet."""
    sets = [[{"subnet": subnet}] for subnet in subnets]
    return {"type": "host-local", "ranges": sets, **keys}


def defaults(space: Space, family: str = "-4") -> list[str]:
    """Return the gateways of the default routes of a container."""
    shown = space.ip(family, "route", "show", "default")
    return [route["gateway"] for route in shown]


def test_bridge_without_gateway_has_no_address(cni: Cni, container: Space) -> None:
    """Without isGateway the bridge has no address and nothing is forwarded."""
    ipam = ranges("10.1.2.0/24")
    cni.ok("bridge", "ADD", conf(isGateway=False, ipam=ipam), netns=container)
    assert addresses("br0") == []
    assert run("sysctl", "-n", "net.ipv4.ip_forward").strip() == "0"


def test_gateway_has_the_first_addresses_of_all_ranges(
    cni: Cni, container: Space
) -> None:
    """Two IPv4 ranges and one of IPv6 give three gateways on one bridge."""
    ipam = ranges("10.1.2.0/24", "10.1.3.0/24", "fd00:1::/64")
    cni.ok("bridge", "ADD", conf(ipam=ipam), netns=container)
    assert addresses("br0") == ["10.1.2.1/24", "10.1.3.1/24", "fd00:1::1/64"]
    assert held(container) == ["10.1.2.2/24", "10.1.3.2/24", "fd00:1::2/64"]
    for gateway in ("10.1.2.1", "10.1.3.1", "fd00:1::1"):
        assert container.reaches(gateway)


def test_gateways_are_kept_by_the_next_container(cni: Cni, host: Host) -> None:
    """A second container with two IPv4 ranges finds both gateways and keeps them."""
    ipam = ranges("10.1.2.0/24", "10.1.3.0/24")
    for name in ("one", "two"):
        cni.ok("bridge", "ADD", conf(ipam=ipam), netns=host.space(), container_id=name)
    assert addresses("br0") == ["10.1.2.1/24", "10.1.3.1/24"]


def test_forwarding_is_on_for_the_families_in_use(cni: Cni, container: Space) -> None:
    """A gateway forwards the families that it has addresses of."""
    cni.ok("bridge", "ADD", conf(), netns=container)
    assert run("sysctl", "-n", "net.ipv4.ip_forward").strip() == "1"
    assert run("sysctl", "-n", "net.ipv6.conf.all.forwarding").strip() == "0"


def test_uplinks_keep_listening_to_routers(cni: Cni, host: Host) -> None:
    """A host that starts to forward IPv6 still accepts advertisements on uplinks."""
    host.outside()
    run("ip", "link", "add", "deaf0", "type", "veth", "peer", "name", "deaf1")
    run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1")
    run("sysctl", "-qw", "net.ipv6.conf.deaf0.accept_ra=0")
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=host.space())
    assert run("sysctl", "-n", "net.ipv6.conf.all.forwarding").strip() == "1"
    assert run("sysctl", "-n", "net.ipv6.conf.eth0.accept_ra").strip() == "2"
    assert run("sysctl", "-n", "net.ipv6.conf.deaf0.accept_ra").strip() == "0"
    assert run("sysctl", "-n", "net.ipv6.conf.br0.accept_ra").strip() == "0"


def test_default_gateway_gives_default_routes(cni: Cni, container: Space) -> None:
    """isDefaultGateway implies isGateway and routes both families through it."""
    ipam = ranges("10.1.2.0/24", "fd00:1::/64")
    wanted = conf(isGateway=False, isDefaultGateway=True, ipam=ipam)
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    assert addresses("br0") == ["10.1.2.1/24", "fd00:1::1/64"]
    assert defaults(container) == ["10.1.2.1"]
    assert defaults(container, "-6") == ["fd00:1::1"]
    assert result["routes"] == [
        {"dst": "0.0.0.0/0", "gw": "10.1.2.1"},
        {"dst": "::/0", "gw": "fd00:1::1"},
    ]


@pytest.mark.parametrize("gw", [None, "10.1.2.1", "10.1.2.254"])
def test_default_route_of_ipam_beside_default_gateway(
    cni: Cni, container: Space, gw: str | None
) -> None:
    """The IPAM plugin's default route, with or without gw, is the only one."""
    route = {"dst": "0.0.0.0/0"} | ({"gw": gw} if gw else {})
    wanted = conf(isDefaultGateway=True, ipam={**IPV4, "routes": [route]})
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    assert defaults(container) == [gw or "10.1.2.1"]
    assert result["routes"] == [route]


def test_identical_routes_are_one(cni: Cni, container: Space) -> None:
    """The same route twice is no error; the same by two gateways are two paths."""
    routes = [
        {"dst": "192.0.2.0/24"},
        {"dst": "192.0.2.0/24", "gw": "10.1.2.1"},
        {"dst": "fd00:2::/64", "gw": "fd00:1::1"},
        {"dst": "fd00:2::/64", "gw": "fd00:1::1"},
        {"dst": "fd00:2::/64", "gw": "fd00:1::9"},
    ]
    ipam = ranges("10.1.2.0/24", "fd00:1::/64", routes=routes)
    cni.ok("bridge", "ADD", conf(ipam=ipam), netns=container)
    assert len(container.ip("route", "show", "192.0.2.0/24")) == 1
    (paths,) = container.ip("-6", "route", "show", "fd00:2::/64")
    hops = [hop["gateway"] for hop in paths["nexthops"]]
    assert hops == ["fd00:1::1", "fd00:1::9"]


@pytest.mark.parametrize("version", ["0.3.1", "1.1.0"])
def test_attributes_of_routes_are_installed(
    cni: Cni, container: Space, version: str
) -> None:
    """mtu, advmss, priority, table and scope of a route are in the kernel."""
    routes = [
        {"dst": "192.0.2.0/24", "mtu": 1300, "advmss": 1200, "priority": 77},
        {"dst": "198.51.100.0/24", "table": 500},
        {"dst": "203.0.113.0/24", "scope": 253},
        {"dst": "fd00:9::/64", "mtu": 1350, "priority": 9},
    ]
    ipam = ranges("10.1.2.0/24", "fd00:1::/64", routes=routes)
    wanted = conf(cniVersion=version, ipam=ipam)
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    (first,) = container.ip("route", "show", "192.0.2.0/24")
    assert first["metrics"] == [{"mtu": 1300, "advmss": 1200}]
    assert (first["metric"], first["gateway"]) == (77, "10.1.2.1")
    (second,) = container.ip("route", "show", "table", "500")
    assert (second["dst"], second["gateway"]) == ("198.51.100.0/24", "10.1.2.1")
    (third,) = container.ip("route", "show", "203.0.113.0/24")
    assert third["scope"] == "link"
    assert "gateway" not in third
    (fourth,) = container.ip("-6", "route", "show", "fd00:9::/64")
    assert (fourth["metrics"], fourth["metric"]) == ([{"mtu": 1350}], 9)
    shown = routes if version == "1.1.0" else [{"dst": r["dst"]} for r in routes]
    assert result["routes"] == shown


def test_other_ipv4_address_of_the_bridge_is_an_error(
    cni: Cni, container: Space
) -> None:
    """A bridge with another IPv4 address is refused, and keeps it."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", "10.9.9.9/24", "dev", "br0")
    error = cni.refused("bridge", "ADD", conf(), netns=container)
    assert error["msg"] == (
        'set address 10.1.2.1/24 of bridge br0: "br0" already has an IP address'
        " different from 10.1.2.1/24"
    )
    assert error["details"] == (
        "it has 10.9.9.9/24; name that as gateway, set gatewayPerSubnet for both, "
        "forceAddress, or:"
        " ip address delete 10.9.9.9/24 dev br0"
    )
    assert addresses("br0") == ["10.9.9.9/24"]


def test_forced_address_replaces_the_other(cni: Cni, container: Space) -> None:
    """With forceAddress any other IPv4 and an overlapping IPv6 address give way."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", "10.9.9.9/24", "dev", "br0")
    run("ip", "addr", "add", "fd00:1::9/64", "dev", "br0", "nodad")
    run("ip", "addr", "add", "fd00:7::9/64", "dev", "br0", "nodad")
    cni.ok("bridge", "ADD", conf(forceAddress=True, ipam=DUAL), netns=container)
    assert sorted(addresses("br0")) == [
        "10.1.2.1/24",
        "fd00:1::1/64",
        "fd00:7::9/64",
    ]


def test_forced_address_keeps_a_secondary_one(cni: Cni, container: Space) -> None:
    """A wanted address is there even where the kernel deleted it with its primary."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", "10.1.2.9/24", "dev", "br0")
    run("ip", "addr", "add", "10.1.2.1/24", "dev", "br0")
    ipam = ranges("10.1.2.0/24", "10.1.3.0/24")
    cni.ok("bridge", "ADD", conf(forceAddress=True, ipam=ipam), netns=container)
    assert addresses("br0") == ["10.1.2.1/24", "10.1.3.1/24"]


def test_ipv6_address_beside_is_no_conflict(cni: Cni, container: Space) -> None:
    """An IPv6 address in another subnet stays on the bridge without a word."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", "fd00:7::9/64", "dev", "br0", "nodad")
    cni.ok("bridge", "ADD", conf(ipam=ranges("fd00:1::/64")), netns=container)
    assert sorted(addresses("br0")) == ["fd00:1::1/64", "fd00:7::9/64"]


def test_gateway_of_the_range_is_used(cni: Cni, container: Space) -> None:
    """The gateway that the range names is the bridge's address."""
    sets = [[{"subnet": "10.1.2.0/24", "gateway": "10.1.2.254"}]]
    ipam = {"type": "host-local", "ranges": sets, "routes": [{"dst": "0.0.0.0/0"}]}
    result = cni.ok("bridge", "ADD", conf(ipam=ipam), netns=container)
    assert addresses("br0") == ["10.1.2.254/24"]
    assert defaults(container) == ["10.1.2.254"]
    assert result["ips"][0]["gateway"] == "10.1.2.254"
