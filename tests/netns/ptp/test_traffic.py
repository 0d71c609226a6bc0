# SPDX-License-Identifier: Apache-2.0
"""ptp: packets between containers, the host and the outside, with ports published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, reaches, run
from netns.portmap.helpers import (
    NODE,
    NODE6,
    ask,
    ask_from,
    mapping,
    route_localnet,
    serving,
)
from netns.ptp.helpers import DUAL, NOTHING, conf, left

if TYPE_CHECKING:
    from lab import Cni, Host, Space

OUTSIDE, OUTSIDE6 = "198.51.100.2", "2001:db8:99::2"
WANTED = conf(ipMasq=True, ipam=DUAL)


@pytest.fixture
def pair(cni: Cni, host: Host) -> tuple[Space, Space]:
    """Two containers, 10.1.2.2 and 10.1.2.3, just attached."""
    one, two = host.space(), host.space()
    for name, space in (("one", one), ("two", two)):
        cni.ok("ptp", "ADD", WANTED, netns=space, container_id=name)
    return one, two


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_everybody_is_reached(pair: tuple[Space, Space], family: str) -> None:
    """Container and container, container and host reach each other at once."""
    one, two = pair
    prefix = "10.1.2." if family == "IPv4" else "fd00:1::"
    assert one.reaches(f"{prefix}3")
    assert two.reaches(f"{prefix}2")
    assert one.reaches(f"{prefix}1")
    assert two.reaches(f"{prefix}1")
    assert reaches(f"{prefix}2")
    assert reaches(f"{prefix}3")


@pytest.mark.parametrize(
    ("neighbour", "node"), [("10.1.2.3", "10.1.2.1"), ("fd00:1::3", "fd00:1::1")]
)
def test_source_addresses_within_the_network(
    pair: tuple[Space, Space], neighbour: str, node: str
) -> None:
    """A neighbour sees the container's own address, a container the gateway's."""
    own = neighbour.replace("3", "2")
    with serving(pair[1], "two"):
        assert ask_from(pair[0], neighbour, 80) == f"two {own}"
        assert ask(neighbour, 80) == f"two {node}"


@pytest.mark.parametrize("ip_masq", [True, False])
@pytest.mark.parametrize(
    ("outside", "own", "node"),
    [(OUTSIDE, "10.1.2.2", NODE), (OUTSIDE6, "fd00:1::2", NODE6)],
)
def test_outside(
    cni: Cni, host: Host, outside: str, own: str, node: str, *, ip_masq: bool
) -> None:
    """With ipMasq the outside sees the host; without it the container itself."""
    run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
    client, container = host.outside(), host.space()
    for version, via in (("-4", NODE), ("-6", NODE6)):
        client.run("ip", version, "route", "add", "default", "via", via)
    cni.ok("ptp", "ADD", conf(ipMasq=ip_masq, ipam=DUAL), netns=container)
    with serving(client, "outside"):
        expected = node if ip_masq else own
        assert ask_from(container, outside, 80) == f"outside {expected}"
    with serving(container, "inside"):
        assert ask_from(client, own, 80) == f"inside {outside}"


def test_strict_reverse_path_filters_are_no_obstacle(cni: Cni, host: Host) -> None:
    """With rp_filter 1 everywhere, every packet still comes by the way it would go."""
    one, two = host.space(), host.space()
    for space in (None, one, two):
        for which in ("all", "default"):
            words = ("sysctl", "-qw", f"net.ipv4.conf.{which}.rp_filter=1")
            space.run(*words) if space else run(*words)
    for name, space in (("one", one), ("two", two)):
        cni.ok("ptp", "ADD", WANTED, netns=space, container_id=name)
    assert one.reaches("10.1.2.3")
    assert one.reaches("10.1.2.1")
    assert reaches("10.1.2.2")


def test_address_that_changes_hands_is_reached_at_once(
    cni: Cni, host: Host, pair: tuple[Space, Space]
) -> None:
    """Right after DEL and ADD of another container its address leads to the new one."""
    neighbour = pair[0]
    keys = {"runtimeConfig": {"ips": ["10.1.2.9", "fd00:1::9"]}}
    for name in ("old", "new", "newest"):
        space = host.space()
        cni.ok("ptp", "ADD", {**WANTED, **keys}, netns=space, container_id=name)
        for address in ("10.1.2.9", "fd00:1::9"):
            assert neighbour.reaches(address)
            assert reaches(address)
        cni.ok("ptp", "DEL", {**WANTED, **keys}, netns=space, container_id=name)


class Published:
    """A container behind ptp and portmap that publishes its port 80 as 8080."""

    def __init__(self, cni: Cni, host: Host) -> None:
        run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        self.cni = cni
        self.client = host.outside()
        self.neighbour, self.container = host.space(), host.space()
        cni.ok("ptp", "ADD", WANTED, netns=self.neighbour, container_id="neighbour")
        result = cni.ok("ptp", "ADD", WANTED, netns=self.container)
        self.link = result["interfaces"][0]["name"]
        self.portmap: dict[str, Any] = {
            "cniVersion": "1.1.0",
            "name": "net",
            "type": "portmap",
            "runtimeConfig": {"portMappings": [mapping(8080)]},
            "prevResult": result,
        }
        cni.ok("portmap", "ADD", self.portmap, netns=self.container)


@pytest.fixture
def published(cni: Cni, host: Host) -> Published:
    """The container, its neighbour and a client outside."""
    return Published(cni, host)


@pytest.mark.parametrize("address", [NODE, f"{NODE6}"])
def test_published_port(published: Published, address: str) -> None:
    """The port answers the outside, the host, a neighbour and the container itself."""
    outside = OUTSIDE6 if ":" in address else OUTSIDE
    with serving(published.container, "web"):
        assert ask_from(published.client, address, 8080) == f"web {outside}"
        assert ask(address, 8080).startswith("web ")
        assert ask_from(published.neighbour, address, 8080).startswith("web ")
        assert ask_from(published.container, address, 8080).startswith("web ")


def test_published_port_at_localhost(published: Published) -> None:
    """The port answers at 127.0.0.1, by route_localnet of the host's end alone."""
    with serving(published.container, "web"):
        assert ask("127.0.0.1", 8080) == "web 10.1.2.1"
    assert route_localnet(published.link) == "1"
    assert route_localnet("eth0") == "0"


def test_published_port_is_checked_and_deleted(published: Published) -> None:
    """CHECK of the chain passes; DEL in reverse order leaves the neighbour only."""
    cni, container = published.cni, published.container
    told = {**WANTED, "prevResult": published.portmap["prevResult"]}
    cni.ok("ptp", "CHECK", told, netns=container)
    cni.ok("portmap", "CHECK", published.portmap, netns=container)
    cni.ok("portmap", "DEL", published.portmap, netns=container)
    cni.ok("ptp", "DEL", told, netns=container)
    assert nft_objects("table", "inet", "cnipy_portmap") == []
    cni.ok("ptp", "DEL", WANTED, netns=published.neighbour, container_id="neighbour")
    assert {**left(container), "links": [], "routes": []} == NOTHING
