# SPDX-License-Identifier: Apache-2.0
"""portmap: what listens on 127.0.0.1 of the host stays the host's own."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from lab import run
from published import (
    Node,
    ask,
    ask_from,
    mapping,
    request,
    route_localnet,
    serving,
    set_parameter,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host, Space

PRIVATE = 9999


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


@pytest.fixture
def web(node: Node) -> Space:
    """A container at 10.1.0.2 with a published port."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080))
    return space


@pytest.fixture
def private() -> Iterator[list[str]]:
    """A UDP service on the host's 127.0.0.1; the list holds what it received."""
    heard: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("127.0.0.1", PRIVATE))

        def listen() -> None:
            with suppress(OSError):
                while True:
                    text, peer = service.recvfrom(100)
                    heard.append(text.decode())
                    service.sendto(b"secret", peer)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield heard
        service.sendto(b"end", ("127.0.0.1", PRIVATE))
        with suppress(OSError):
            service.shutdown(socket.SHUT_RDWR)
    thread.join(3)


def aim_at_loopback(space: Space, link: str, via: str, source: str) -> None:
    """Have `space` send what is for the host's 127.0.0.1 out of `link` to the host."""
    (host_end,) = [
        item["lladdr"]
        for item in space.ip("neigh", "show", via)
        if item.get("dev") == link
    ]
    run("ip", "-n", space.name, "addr", "del", "127.0.0.1/8", "dev", "lo")
    table = ("table", "local", "local", "127.0.0.0/8", "dev", "lo")
    run("ip", "-n", space.name, "route", "del", *table, check=False)
    with space.entered():
        for where in ("all", link):
            set_parameter(f"ipv4/conf/{where}/route_localnet", "1")
    run(
        "ip",
        "-n",
        space.name,
        "route",
        "add",
        "127.0.0.1/32",
        "dev",
        link,
        "src",
        source,
    )
    neigh = ("neigh", "replace", "127.0.0.1", "lladdr", host_end, "dev", link)
    run("ip", "-n", space.name, *neigh)


@pytest.mark.usefixtures("web")
def test_route_localnet_is_on_for_the_bridge_alone() -> None:
    """ADD turns route_localnet on for the link towards the container, no other."""
    assert [route_localnet(link) for link in ("br0", "eth0")] == ["1", "0"]


@pytest.mark.parametrize("guarded", (True, False))
def test_container_cannot_reach_private_services(
    web: Space, private: list[str], *, guarded: bool
) -> None:
    """A container that aims at 127.0.0.1 is dropped; without the guard it would not."""
    assert web.reaches("10.1.0.1")
    aim_at_loopback(web, "eth0", "10.1.0.1", "10.1.0.2")
    if not guarded:
        run("nft", "flush", "chain", "inet", "cnipy_portmap", "guard")
    answer = ask_from(web, "127.0.0.1", PRIVATE, udp=True)
    assert private == ([] if guarded else ["who?"])
    assert answer == ("" if guarded else "secret")


def test_forged_loopback_source_is_dropped(web: Space, private: list[str]) -> None:
    """A packet that says it comes from 127.0.0.1 is dropped at the bridge."""
    assert web.reaches("10.1.0.1")
    run("ip", "-n", web.name, "addr", "replace", "127.0.0.1/32", "dev", "eth0")
    with web.entered():
        for where in ("all", "eth0"):
            set_parameter(f"ipv4/conf/{where}/route_localnet", "1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("10.1.0.1", 7777))
        service.settimeout(0.5)
        ask_from(web, "10.1.0.1", 7777, udp=True, source=("127.0.0.1", 0))
        with pytest.raises(TimeoutError):
            service.recv(100)
    assert private == []


def test_host_still_reaches_its_own_services(web: Space, private: list[str]) -> None:
    """The host itself reaches its 127.0.0.1 as before, and the port by 127.0.0.1."""
    assert ask("127.0.0.1", PRIVATE, udp=True) == "secret"
    with serving(web, "web"):
        assert ask("127.0.0.1", 8080) == "web 10.1.0.1"
    assert private == ["who?"]


def test_route_localnet_goes_with_the_last_user(node: Node, web: Space) -> None:
    """route_localnet stays while one container needs it, and is off after the last."""
    other = node.container(3)
    node.publish(other, 3, mapping(8081))
    seen = []
    for space, number in ((web, 2), (other, 3)):
        conf, options = request(space, number)
        node.cni.ok("portmap", "DEL", conf, **options)
        seen.append(route_localnet("br0"))
    assert seen == ["1", "0"]


def test_route_localnet_of_the_administrator_stays(node: Node) -> None:
    """A link that had route_localnet before the first ADD has it after the last DEL."""
    set_parameter("ipv4/conf/br0/route_localnet", "1")
    space = node.container(2)
    node.publish(space, 2, mapping(8080))
    conf, options = request(space, 2)
    node.cni.ok("portmap", "DEL", conf, **options)
    assert route_localnet("br0") == "1"
