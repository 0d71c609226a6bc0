# SPDX-License-Identifier: Apache-2.0
"""portmap: associations of SCTP go through published ports as connections do."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from lab import run
from netns.portmap.helpers import NODE, NODE6, Node, ask, ask_from, mapping, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host, Space

pytestmark = pytest.mark.needs_kernel("sctp")
SCTP = socket.IPPROTO_SCTP


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


@pytest.fixture
def diameter(node: Node) -> Iterator[Space]:
    """A container that answers at SCTP port 3868, published as 3869."""
    space = node.container(2)
    node.publish(space, 2, mapping(3869, 3868, protocol="sctp"))
    with serving(space, "diameter", 3868, protocol=SCTP):
        yield space


@pytest.mark.usefixtures("diameter")
@pytest.mark.parametrize(
    ("address", "client"), ((NODE, "198.51.100.2"), (NODE6, "2001:db8:99::2"))
)
def test_outside_reaches_the_port(node: Node, address: str, client: str) -> None:
    """A client outside gets the container, which sees the client's own address."""
    answer = ask_from(node.outside, address, 3869, protocol=SCTP)
    assert answer == f"diameter {client}"


@pytest.mark.usefixtures("diameter")
def test_host_reaches_the_port() -> None:
    """The host gets the container by its own address and by loopback."""
    assert ask(NODE, 3869, protocol=SCTP).startswith("diameter ")
    assert ask("127.0.0.1", 3869, protocol=SCTP) == "diameter 10.1.0.1"


def test_container_reaches_its_own_port(diameter: Space) -> None:
    """The container gets itself by the host's address, seen as the bridge's."""
    run("bridge", "link", "set", "dev", "br0p2", "hairpin", "on")
    assert ask_from(diameter, NODE, 3869, protocol=SCTP) == "diameter 10.1.0.1"


def test_other_protocols_are_apart(node: Node, diameter: Space) -> None:
    """The same number of TCP leads elsewhere or nowhere, and DEL closes SCTP's."""
    assert ask_from(node.outside, NODE, 3869) == ""
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "portmap"}
    node.cni.ok("portmap", "DEL", conf, netns=diameter, container_id="c2")
    assert ask_from(node.outside, NODE, 3869, protocol=SCTP) == ""
