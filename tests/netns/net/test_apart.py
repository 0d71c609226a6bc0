# SPDX-License-Identifier: Apache-2.0
"""Guarded networks of two nodes: neighbours are those of the network, and no others."""

from __future__ import annotations

import select
import socket
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import pytest
from lab import PATIENCE
from netns.net.machines import wait_until
from netns.portmap.helpers import ask_from, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.net.machines import Inside, Lan, Node

# To the firewall it is a link like that of another tunnel.
WIREGUARD = (pytest.mark.needs_kernel("wireguard"), pytest.mark.thorough)
# The backends of `apps`, whose policy is same-bridge, and of `more`, which is isolated.
BACKENDS = [
    ("host-gw", "gpe"),
    ("gpe", "vxlan"),
    ("vxlan", "host-gw"),
    pytest.param("wireguard", "wireguard", marks=WIREGUARD),
]
POOLS = {
    "apps": ("--pool", "10.64.0.0/16", "--pool6", "fd00:64::/40"),
    "more": ("--pool", "10.65.0.0/16", "--pool6", "fd00:65::/40"),
}
UNDERLAY = {
    "n11": ["192.0.2.11", "2001:db8::11"],
    "n12": ["192.0.2.12", "2001:db8::12"],
}
PUBLISHED = ("-p", "8080:80")


@dataclass
class Container:
    """A container of a node, that says at port 80 who it is and whom it answers."""

    node: Node
    name: str
    addresses: list[str]
    space: Inside

    def asks(self, address: str, port: int = 80) -> str:
        """Return what it is answered there."""
        return ask_from(self.space, address, port)


@contextmanager
def container(node: Node, network: str, *wishes: str) -> Iterator[Container]:
    """Have a container on a node in a network, as long as the block lasts."""
    name = f"{network}-{node.name}"
    found = Container(
        node, name, node.attached(network, name, *wishes), node.space(name)
    )
    try:
        with serving(found.space, name):
            yield found
    finally:
        node.ok("del", network, name)
        node.run("ip", "netns", "del", name)


@pytest.fixture(scope="module")
def nodes(lan: Lan) -> list[Node]:
    """Two nodes with agents."""
    found = [lan.node(number) for number in (11, 12)]
    for each in found:
        each.start()
    return found


@pytest.fixture(scope="module")
def outside(lan: Lan) -> Inside:
    """A machine of the same wire that is no node."""
    return lan.node(66).space()


@contextmanager
def joined(
    nodes: list[Node], network: str, backend: str, policy: str
) -> Iterator[None]:
    """Have all nodes in a new network, as long as the block lasts."""
    said = ("--backend", backend, "--policy", policy)
    nodes[0].ok("net", "create", network, *POOLS[network], *said)
    for each in nodes:
        each.ok("net", "join", network)
    try:
        yield
    finally:
        for each in nodes:
            each.ok("net", "leave", network)
        nodes[0].ok("net", "rm", network)


@pytest.mark.parametrize(("same", "isolated"), BACKENDS)
def test_networks_are_apart_wherever_their_containers_are(
    nodes: list[Node], outside: Inside, same: str, isolated: str
) -> None:
    """By each backend, in both families and both ways; what is published is for all.

    Also where a node has a container of the one only.
    """
    one, other = nodes
    with (
        joined(nodes, "apps", same, "same-bridge"),
        joined(nodes, "more", isolated, "isolated"),
        container(one, "apps") as web,
        container(one, "more") as lone,
        container(other, "more", "-p", "8081:80") as lonely,
    ):
        with container(other, "apps", "-p", "8080:80") as far:
            check_neighbours(web, far)
            for port, target, beside in ((8080, far, lonely), (8081, lonely, far)):
                check_published(port, target, (web, lone, beside))
                check_published_to(port, target, (one.space(), outside))
            check_hosts(one, far, lonely)
            strangers = [(web, lone), (web, lonely), (far, lone), (far, lonely)]
            strangers += [pair[::-1] for pair in strangers]
            alone = [(lone, lonely), (lonely, lone)]
            spaces = [(each.space, to) for each, to in strangers + alone]
            assert not connected([*spaces, (one.space(), lonely)])
        assert not connected([(web.space, lonely), (lonely.space, web)])


def check_neighbours(web: Container, far: Container) -> None:
    """Containers of one network reach each other, and see each other's address."""
    for one, other in ((web, far), (far, web)):
        for mine, address in zip(one.addresses, other.addresses, strict=True):
            wait_until(lambda o=one, a=address: o.asks(a))
            assert one.asks(address) == f"{other.name} {mine}"


def check_published(
    port: int, target: Container, askers: tuple[Container, ...]
) -> None:
    """A port of the node that has the container is reached by any other container.

    Of another node it is asked by that node.
    """
    for address, each in product(UNDERLAY[target.node.name], askers):
        name, _, source = each.asks(address, port).partition(" ")
        assert name == target.name
        if each.node is not target.node:
            assert source in UNDERLAY[each.node.name]


def check_published_to(
    port: int, target: Container, askers: tuple[Inside, ...]
) -> None:
    """The same holds for other nodes, and for who is none."""
    for address, each in product(UNDERLAY[target.node.name], askers):
        assert ask_from(each, address, port).startswith(f"{target.name} ")


def check_hosts(one: Node, far: Container, lonely: Container) -> None:
    """A node reaches its own containers, and another's that are not isolated."""
    for each in (far, lonely):
        for address in each.addresses:
            assert ask_from(each.node.space(), address, 80)
    for address in far.addresses:
        assert ask_from(one.space(), address, 80)


def connected(pairs: list[tuple[Inside, Container]]) -> list[str]:
    """Return who of each pair gets a connection to which address of the other.

    On one machine it is made within milliseconds.
    """
    clients: dict[socket.socket, str] = {}
    with ExitStack() as opened:
        for space, other in pairs:
            for address in other.addresses:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                with space.entered():
                    client = opened.enter_context(socket.socket(family))
                client.setblocking(False)
                client.connect_ex((address, 80))
                clients[client] = f"{space.name}: {other.name} at {address}"
        time.sleep(0.25 * PATIENCE)
        _, ended, _ = select.select([], [*clients], [], 0)
        errors = {
            each: each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for each in ended
        }
        return [clients[each] for each, error in errors.items() if not error]
