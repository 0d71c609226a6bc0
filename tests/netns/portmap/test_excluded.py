# SPDX-License-Identifier: Apache-2.0
"""portmap: addresses of services, which kube-proxy has on a link of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.portmap.helpers import (
    NODE,
    NODE6,
    TABLE,
    Node,
    ask,
    ask_from,
    left,
    mapping,
    request,
    serving,
)

if TYPE_CHECKING:
    from lab import Cni, Host, Space

SERVICE, SERVICE6 = "10.96.0.1", "fd96::1"


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with the services 10.96.0.1 and fd96::1 on kube-ipvs0."""
    node = Node(host, cni)
    services(SERVICE, SERVICE6)
    return node


@pytest.fixture
def web(node: Node) -> Space:
    """A container at 10.1.0.2; every kernel has a bridge, but not a dummy."""
    return node.container(2)


def services(*addresses: str, link: str = "kube-ipvs0") -> None:
    """Have addresses on a link, as kube-proxy in IPVS mode has them."""
    run("ip", "link", "add", link, "type", "bridge", check=False)
    for address in addresses:
        run("ip", "addr", "add", address, "dev", link, "nodad")
    run("ip", "link", "set", link, "up")


def found(node: Node, *addresses: str) -> dict[str, set[str]]:
    """Return for each address who answers the host, a neighbour and an outsider."""
    neighbour = node.container(9)
    answers = {
        a: (ask(a, 443), ask_from(neighbour, a, 443), ask_from(node.outside, a, 443))
        for a in addresses
    }
    return {a: {words.split(" ")[0] for words in said} for a, said in answers.items()}


@pytest.mark.parametrize("keys", ({}, {"conditionsV4": ["th", "dport", "443"]}))
def test_services_keep_their_port(node: Node, web: Space, keys: dict[str, Any]) -> None:
    """A port of a service is not taken by a pod; that of the host's addresses is."""
    node.publish(web, 2, mapping(443), **keys)
    with serving(web, "web"), serving(None, "service", 443):
        assert found(node, SERVICE, SERVICE6, NODE, NODE6, "10.1.0.1") == {
            SERVICE: {"service"},
            SERVICE6: {"service"},
            NODE: {"web"},
            NODE6: {"web"},
            "10.1.0.1": {"web"},
        }
        assert ask("127.0.0.1", 443) == "web 10.1.0.1"


def test_service_that_comes_later_keeps_its_port(node: Node, web: Space) -> None:
    """A service that is made after ADD is no address of the host either."""
    node.publish(web, 2, mapping(443))
    services("10.96.0.77")
    with serving(web, "web"), serving(None, "service", 443):
        assert found(node, "10.96.0.77") == {"10.96.0.77": {"service"}}


def test_address_that_comes_later_is_published(node: Node, web: Space) -> None:
    """A new address is the host's for who comes by its link, and after the next ADD."""
    node.publish(web, 2, mapping(443))
    run("ip", "addr", "add", "198.51.100.77/24", "dev", "eth0")
    with serving(web, "web"):
        assert ask_from(node.outside, "198.51.100.77", 443) == "web 198.51.100.2"
        node.publish(node.container(3), 3, mapping(81))
        assert ask("198.51.100.77", 443).startswith("web ")


def test_links_are_those_of_the_key(node: Node, web: Space) -> None:
    """excludeInterfaces names links instead of kube-ipvs0."""
    services("10.97.0.1", link="vips")
    node.publish(web, 2, mapping(443), excludeInterfaces=["vips", "absent"])
    with serving(web, "web"), serving(None, "service", 443):
        who = found(node, SERVICE, "10.97.0.1")
    assert who == {SERVICE: {"web"}, "10.97.0.1": {"service"}}


def test_flushed_ruleset_comes_back_with_them(node: Node, web: Space) -> None:
    """After `nft flush ruleset` the next ADD leaves the services alone again."""
    node.publish(web, 2, mapping(443))
    run("nft", "flush", "ruleset")
    node.publish(node.container(3), 3, mapping(81), excludeInterfaces=[])
    with serving(web, "web"), serving(None, "service", 443):
        assert found(node, SERVICE, NODE) == {SERVICE: {"service"}, NODE: {"web"}}


def test_nothing_is_left_of_them(node: Node, web: Space) -> None:
    """CHECK passes, a refused ADD changes nothing, and the last DEL removes all."""
    conf, options = request(web, 2, mapping(443))
    other, others = request(node.container(3), 3, mapping(443))
    node.cni.ok("portmap", "ADD", conf | {"excludeInterfaces": []}, **options)
    before = (nft_objects(*TABLE), left())
    node.cni.refused("portmap", "ADD", other, **others)
    assert (nft_objects(*TABLE), left()) == before
    node.cni.ok("portmap", "ADD", conf, **options)
    node.cni.ok("portmap", "CHECK", conf, **options)
    run("ip", "link", "delete", "kube-ipvs0")
    node.cni.ok("portmap", "ADD", conf, **options)
    (excluded,) = nft_objects("set", *TABLE[1:], "excluded4")
    assert "elem" not in excluded["set"]
    node.cni.ok("portmap", "DEL", conf, **options)
    assert (nft_objects(*TABLE), left()) == ([], [])
