# SPDX-License-Identifier: Apache-2.0
"""bridge: result, addresses and links after ADD, in every version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import ip
from netns.bridge.helpers import DUAL, IPV4, addresses, conf, held, host_end, layer2

if TYPE_CHECKING:
    from lab import Cni, Space


def test_add_gives_address_route_and_result(cni: Cni, container: Space) -> None:
    """After ADD the container has its address and default route, as the result says."""
    result = cni.ok("bridge", "ADD", conf(), netns=container)
    (end,) = container.ip("link", "show", "eth0")
    (bridge,) = ip("link", "show", "br0")
    port = host_end(result)
    assert held(container) == ["10.1.2.2/24"]
    assert container.ip("route", "show", "default")[0]["gateway"] == "10.1.2.1"
    assert port["master"] == "br0"
    assert result == {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "br0", "mac": bridge["address"], "mtu": 1500},
            {"name": port["ifname"], "mac": port["address"], "mtu": 1500},
            {
                "name": "eth0",
                "mac": end["address"],
                "mtu": 1500,
                "sandbox": container.path,
            },
        ],
        "ips": [{"address": "10.1.2.2/24", "gateway": "10.1.2.1", "interface": 2}],
        "routes": [{"dst": "0.0.0.0/0"}],
    }


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_result_has_the_shape_of_its_version(
    cni: Cni, container: Space, version: str
) -> None:
    """ips carry `version` before 1.0.0, interfaces `mtu` from 1.1.0, dns is as old."""
    result = cni.ok("bridge", "ADD", conf(cniVersion=version), netns=container)
    assert result["cniVersion"] == version
    assert [i["name"] for i in result["interfaces"]][::2] == ["br0", "eth0"]
    assert ("mtu" in result["interfaces"][0]) == (version == "1.1.0")
    assert (result["ips"][0].get("version") == "4") == (version < "1.0.0")
    assert ("dns" in result) == (version < "1.0.0")


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_result_of_the_first_versions(cni: Cni, container: Space, version: str) -> None:
    """0.1.0 and 0.2.0 have ip4 and ip6 with the routes of the family."""
    result = cni.ok(
        "bridge", "ADD", conf(cniVersion=version, ipam=DUAL), netns=container
    )
    assert result == {
        "cniVersion": version,
        "ip4": {
            "ip": "10.1.2.2/24",
            "gateway": "10.1.2.1",
            "routes": [{"dst": "0.0.0.0/0"}],
        },
        "ip6": {
            "ip": "fd00:1::2/64",
            "gateway": "fd00:1::1",
            "routes": [{"dst": "::/0"}],
        },
        "dns": {},
    }


def test_layer2_in_a_version_that_cannot_say_it(cni: Cni, container: Space) -> None:
    """Without addresses 0.2.0 is refused before anything is made."""
    error = cni.refused("bridge", "ADD", layer2(cniVersion="0.2.0"), netns=container)
    assert error["code"] == 7
    assert error["msg"] == "parse ipam: a result of 0.2.0 needs an IP address"
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]


def test_ipv6_only(cni: Cni, container: Space) -> None:
    """A network of IPv6 alone gives an address, a default route and a gateway."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": "fd00:1::/64"}]]}
    wanted = conf(ipam=ipam, isDefaultGateway=True)
    cni.ok("bridge", "ADD", wanted, netns=container)
    assert held(container) == ["fd00:1::2/64"]
    assert container.ip("-6", "route", "show", "default")[0]["gateway"] == "fd00:1::1"
    assert addresses("br0") == ["fd00:1::1/64"]
    assert container.reaches("fd00:1::1")


def test_no_address_is_tentative(cni: Cni, container: Space) -> None:
    """On return no address of the container waits for duplicate detection."""
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=container)
    (shown,) = container.ip("addr", "show", "eth0")
    assert [a["local"] for a in shown["addr_info"] if a.get("tentative")] == []
    assert len(shown["addr_info"]) == 3


def test_link_local_address_of_the_gateway_is_usable(
    cni: Cni, container: Space
) -> None:
    """The bridge asks for neighbours from an address that is not tentative either."""
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=container)
    (shown,) = ip("addr", "show", "br0")
    scopes = [(a["scope"], a.get("tentative")) for a in shown["addr_info"]]
    assert ("link", None) in scopes
    assert ("link", True) not in scopes


@pytest.mark.parametrize(("ipam", "told"), [(IPV4, "0"), (DUAL, "1")])
def test_ipv6_neighbours_are_told_of_ipv6_only(
    cni: Cni, container: Space, ipam: dict[str, Any], told: str
) -> None:
    """A bridge copies each announcement to all its ports: none without an address."""
    cni.ok("bridge", "ADD", conf(ipam=ipam), netns=container)
    name = "net/ipv6/conf/eth0/ndisc_notify"
    assert container.run("sysctl", "-n", name).strip() == told
    assert container.run("sysctl", "-n", "net/ipv4/conf/eth0/arp_notify") == "1\n"


def test_ipv6_works_where_the_runtime_disabled_it(cni: Cni, container: Space) -> None:
    """disable_ipv6 in the container, on lo too, does not keep the address away."""
    for link in ("all", "default", "lo"):
        container.run("sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1")
    container.run("ip", "link", "set", "lo", "up")
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=container)
    assert held(container) == ["10.1.2.2/24", "fd00:1::2/64"]
    assert container.reaches("fd00:1::1")
    assert container.reaches("fd00:1::2")
