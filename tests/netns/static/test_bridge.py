# SPDX-License-Identifier: Apache-2.0
"""static as the IPAM plugin of bridge: what the container has, and traffic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from lab import reaches
from netns.bridge.helpers import addresses, conf, held, with_result
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space

STATIC: dict[str, Any] = {
    "type": "static",
    "addresses": [
        {"address": "10.83.0.10/24", "gateway": "10.83.0.1"},
        {"address": "fd83::10/64", "gateway": "fd83::1"},
    ],
    "routes": [
        {"dst": "0.0.0.0/0", "mtu": 1400},
        {"dst": "::/0"},
        {"dst": "192.0.2.0/24", "gw": "10.83.0.7", "priority": 5},
    ],
    "dns": {"nameservers": ["192.0.2.53"], "search": ["example.org"]},
}
WANTED = conf(ipMasq=True, ipam=STATIC)


def asking(*ips: str) -> dict[str, Any]:
    """Return the configuration with addresses asked for by the runtime."""
    return WANTED | {"runtimeConfig": {"ips": list(ips)}}


def routes(space: Space, destination: str, family: str = "-4") -> list[Any]:
    """Return the container's routes to a destination, as ip shows them."""
    return list(space.ip(family, "route", "show", destination))


def test_container_has_exactly_what_is_written(cni: Cni, container: Space) -> None:
    """Addresses, routes with their MTU and metric, and name servers."""
    result = cni.ok("bridge", "ADD", WANTED, netns=container)
    assert sorted(held(container)) == ["10.83.0.10/24", "fd83::10/64"]
    (default,) = routes(container, "default")
    assert default["gateway"] == "10.83.0.1"
    assert default["metrics"] == [{"mtu": 1400}]
    (default,) = routes(container, "default", "-6")
    assert default["gateway"] == "fd83::1"
    (route,) = routes(container, "192.0.2.0/24")
    assert (route["gateway"], route["metric"]) == ("10.83.0.7", 5)
    assert result["dns"] == STATIC["dns"]
    assert sorted(addresses("br0")) == ["10.83.0.1/24", "fd83::1/64"]


def test_container_reaches_gateway_neighbour_and_outside(cni: Cni, host: Host) -> None:
    """A neighbour with an address asked for answers, and so does the outside."""
    one, two = host.space(), host.space()
    host.outside()
    cni.ok("bridge", "ADD", WANTED, netns=one, container_id="one")
    other = asking("10.83.0.11/24", "fd83::11/64")
    args = "GATEWAY=10.83.0.1,fd83::1"
    cni.ok("bridge", "ADD", other, netns=two, container_id="two", args=args)
    for address in ("10.83.0.1", "fd83::1", "10.83.0.11", "fd83::11", "198.51.100.2"):
        assert one.reaches(address)
    assert two.reaches("198.51.100.2")
    assert reaches("10.83.0.10")


def test_repeated_life_of_a_container_leaves_nothing(
    cni: Cni, container: Space
) -> None:
    """ADD, CHECK, STATUS, DEL twice and once without anything, then again."""
    before = picture(container)["files"]
    for _ in range(2):
        result = cni.ok("bridge", "ADD", WANTED, netns=container)
        cni.ok("bridge", "CHECK", with_result(WANTED, result), netns=container)
        cni.ok("bridge", "STATUS", WANTED)
        cni.ok("bridge", "DEL", with_result(WANTED, result), netns=container)
        cni.ok("bridge", "DEL", WANTED, netns="")
        assert picture(container)["files"] == before
        assert [link["ifname"] for link in container.ip("link", "show")] == ["lo"]


def test_route_with_host_bits_stays_as_written(cni: Cni, container: Space) -> None:
    """The result has them, the kernel's route does not, and CHECK finds it."""
    given = [{"dst": "3ffe:ffff:0:1ff::1/64", "gw": "fd83::1"}]
    wanted = conf(ipMasq=True, ipam=STATIC | {"routes": given})
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    assert result["routes"] == given
    (route,) = routes(container, "3ffe:ffff:0:1ff::/64", "-6")
    assert route["gateway"] == "fd83::1"
    cni.ok("bridge", "CHECK", with_result(wanted, result), netns=container)
    cni.ok("bridge", "DEL", with_result(wanted, result), netns=container)


def test_ipv4_route_with_host_bits_is_refused(cni: Cni, container: Space) -> None:
    """The kernel takes none such; the message says which subnet was meant."""
    before = picture(container)
    given = [{"dst": "192.0.2.7/24", "gw": "10.83.0.1"}]
    wanted = conf(ipMasq=True, ipam=STATIC | {"routes": given})
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["code"] == 7
    assert error["msg"].startswith("add route 192.0.2.7/24: ")
    assert "192.0.2.0/24" in error["details"]
    assert picture(container) == before


def test_check_notices_a_configuration_that_changed(cni: Cni, container: Space) -> None:
    """CHECK with another address than ADD's names it."""
    result = cni.ok("bridge", "ADD", WANTED, netns=container)
    changed = conf(ipam=STATIC | {"addresses": [{"address": "10.83.0.12/24"}]})
    wanted = with_result(changed, result)
    error = cni.refused("bridge", "CHECK", wanted, netns=container)
    expected = (999, "check address 10.83.0.12/24: not in prevResult")
    assert (error["code"], error["msg"]) == expected


@pytest.mark.parametrize(
    ("wanted", "args", "expected"),
    [
        (conf(ipam={"type": "static"}), "", (999, "IPAM plugin returned missing")),
        (asking("10.83.0.11"), "", (7, "parse network configuration: runtimeConfig.")),
        (
            WANTED,
            "IP=10.83.0.11",
            (4, "parse CNI_ARGS: IP: the 'ip' field is "),
        ),
        (WANTED, "GATEWAY=x", (4, "parse CNI_ARGS: GATEWAY: invalid gateway")),
    ],
)
def test_refusal_leaves_nothing(
    cni: Cni, container: Space, wanted: Any, args: str, expected: Any
) -> None:
    """What static refuses makes bridge undo everything, and its error is passed on."""
    before = picture(container)
    error = cni.refused("bridge", "ADD", wanted, netns=container, args=args)
    assert (error["code"], error["msg"][: len(expected[1])]) == expected
    assert picture(container) == before


def test_delete_needs_no_configuration_of_static(cni: Cni, container: Space) -> None:
    """DEL takes the container away though its addresses are unreadable by then."""
    cni.ok("bridge", "ADD", WANTED, netns=container)
    broken = conf(ipMasq=True, ipam=STATIC | {"addresses": "none"})
    cni.ok("bridge", "DEL", broken, netns=container, args="IP=junk")
    assert [link["ifname"] for link in container.ip("link", "show")] == ["lo"]
    assert json.dumps(picture(container)["rules"]).count("10.83") == 0
