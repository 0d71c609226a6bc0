# SPDX-License-Identifier: Apache-2.0
"""portmap: who reaches a published port, and what the container sees of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import run
from netns.portmap.helpers import (
    NODE,
    NODE6,
    Node,
    ask,
    ask_from,
    filter_bridged,
    mapping,
    serving,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host, Space


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


@pytest.fixture
def web(node: Node) -> Iterator[Space]:
    """A container at 10.1.0.2 that answers "web" on port 80, published as 8080."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080))
    with serving(space, "web"):
        yield space


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize(
    ("address", "client"), ((NODE, "198.51.100.2"), (NODE6, "2001:db8:99::2"))
)
def test_outside_reaches_the_port_with_its_own_address(
    node: Node, address: str, client: str
) -> None:
    """A client outside gets the container, which sees the client's own address."""
    assert ask_from(node.outside, address, 8080) == f"web {client}"


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("address", (NODE, "10.1.0.1", NODE6, "fd01::1"))
def test_host_reaches_the_port_by_its_addresses(address: str) -> None:
    """The host itself gets the container by each of its addresses."""
    assert ask(address, 8080).startswith("web ")


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("filtered", ("0", "1"))
@pytest.mark.parametrize("address", ("127.0.0.1", "127.9.9.9"))
def test_host_reaches_the_port_by_loopback(address: str, filtered: str) -> None:
    """The host gets the container by 127.0.0.0/8, seen as the bridge's address.

    With br_netfilter answers are translated back before the bridge receives them.
    """
    filter_bridged(filtered)
    assert ask(address, 8080) == "web 10.1.0.1"


@pytest.mark.parametrize("filtered", ("0", "1"))
@pytest.mark.parametrize(("address", "seen"), ((NODE, "10.1.0.1"), (NODE6, "fd01::1")))
def test_container_and_neighbour_reach_the_port(
    node: Node, web: Space, filtered: str, address: str, seen: str
) -> None:
    """The container itself and its neighbour get it, with and without br_netfilter."""
    filter_bridged(filtered)
    run("bridge", "link", "set", "dev", "br0p2", "hairpin", "on")
    neighbour = node.container(3)
    assert ask_from(neighbour, address, 8080) == f"web {seen}"
    assert ask_from(web, address, 8080) == f"web {seen}"


@pytest.mark.usefixtures("web")
def test_other_bridge_reaches_the_port(node: Node) -> None:
    """A container behind another bridge gets it under its own address."""
    node.add_bridge("br1", "10.2.0", "fd02")
    other = node.container(4, "br1")
    assert ask_from(other, NODE, 8080) == "web 10.2.0.4"


def test_udp_and_tcp_are_apart(node: Node) -> None:
    """The same number leads to different ports for TCP and UDP."""
    space = node.container(2)
    udp = mapping(5353, 53, protocol="UDP")
    node.publish(space, 2, mapping(5353), udp)
    with serving(space, "tcp"), serving(space, "udp", 53, udp=True):
        assert ask_from(node.outside, NODE, 5353) == "tcp 198.51.100.2"
        assert ask_from(node.outside, NODE, 5353, udp=True) == "udp 198.51.100.2"
        assert ask_from(node.outside, NODE6, 5353, udp=True) == "udp 2001:db8:99::2"
        assert ask("127.0.0.1", 5353, udp=True) == "udp 10.1.0.1"


@pytest.mark.parametrize(
    ("host_ip", "reached"),
    (
        (NODE, {NODE}),
        ("0.0.0.0", {NODE, "10.1.0.1"}),
        ("::", {NODE6}),
        (NODE6, {NODE6}),
        ("127.0.0.1", {"127.0.0.1"}),
        (f"::ffff:{NODE}", {NODE}),
    ),
)
def test_host_ip_limits_the_addresses(
    node: Node, host_ip: str, reached: set[str]
) -> None:
    """A mapping with a host IP answers there and nowhere else."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080, hostIP=host_ip))
    with serving(space, "web"):
        tried = (NODE, "10.1.0.1", NODE6)
        found = {a for a in tried if ask_from(node.outside, a, 8080)}
        found |= {a for a in ("127.0.0.1",) if host_ip == a and ask(a, 8080)}
        assert found == reached


def test_traffic_through_the_host_is_left_alone(node: Node, web: Space) -> None:
    """What is sent to the same port of another machine is not caught."""
    with serving(node.outside, "other", 8080):
        assert ask_from(web, "198.51.100.2", 8080) == "other 10.1.0.2"


def test_without_snat_only_outside_is_served(node: Node) -> None:
    """With snat false nobody is masqueraded: outside works, 127.0.0.1 does not."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080), snat=False)
    with serving(space, "web"):
        assert ask_from(node.outside, NODE, 8080) == "web 198.51.100.2"
        assert ask("127.0.0.1", 8080) == ""
        assert ask_from(node.container(3), NODE, 8080) == ""


def test_masq_all_hides_every_client(node: Node) -> None:
    """With masqAll a client outside is seen as the host."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080), masqAll=True)
    with serving(space, "web"):
        assert ask_from(node.outside, NODE, 8080) == "web 10.1.0.1"
        assert ask_from(node.outside, NODE6, 8080) == "web fd01::1"
        assert ask("127.0.0.1", 8080) == "web 10.1.0.1"
        assert ask_from(space, NODE, 8080) == "web 10.1.0.1"


@pytest.mark.usefixtures("web")
def test_other_translated_traffic_keeps_its_source(node: Node) -> None:
    """Another program's translation to the container is not masqueraded by ours."""
    rules = (
        "add table ip other; "
        "add chain ip other pre { type nat hook prerouting priority -100; }; "
        "add rule ip other pre ip daddr 192.0.2.9 tcp dport 99 dnat to 10.1.0.2:80"
    )
    run("nft", rules)
    neighbour = node.container(3)
    filter_bridged("1")
    assert ask_from(neighbour, "192.0.2.9", 99) == "web 10.1.0.3"
