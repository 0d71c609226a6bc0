# SPDX-License-Identifier: Apache-2.0
"""portmap: conditionsV4 and conditionsV6."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import nft_objects
from published import (
    NODE,
    NODE6,
    TABLE,
    Node,
    ask,
    ask_from,
    elements,
    mapping,
    request,
    serving,
)

if TYPE_CHECKING:
    from lab import Cni, Host

NOT_UPLINK = {
    "conditionsV4": ["iifname", "!=", "up0"],
    "conditionsV6": ["iifname", "!=", '"up0"'],
}


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


def chains() -> set[str]:
    """Return the names of the table's chains that stand for conditions."""
    found = [item["chain"]["name"] for item in nft_objects(*TABLE) if "chain" in item]
    return {name for name in found if name.startswith("conditioned")}


@pytest.mark.parametrize("address", (NODE, NODE6))
def test_conditions_bind_their_network_only(node: Node, address: str) -> None:
    """Conditions keep clients from their own network's ports, not from another's."""
    bound, free = node.container(2), node.container(3)
    node.publish(bound, 2, mapping(8080), name="bound", **NOT_UPLINK)
    node.publish(free, 3, mapping(8081), name="free")
    with serving(bound, "bound"), serving(free, "free"):
        assert ask_from(node.outside, address, 8080) == ""
        assert ask(address, 8080).startswith("bound ")
        assert ask_from(free, address, 8080).startswith("bound ")
        assert ask_from(node.outside, address, 8081).startswith("free ")


def test_conditions_of_one_family_leave_the_other(node: Node) -> None:
    """conditionsV4 alone do not bind IPv6."""
    space = node.container(2)
    only = {"conditionsV4": NOT_UPLINK["conditionsV4"]}
    node.publish(space, 2, mapping(8080), **only)
    with serving(space, "web"):
        assert ask_from(node.outside, NODE, 8080) == ""
        assert ask_from(node.outside, NODE6, 8080) == "web 2001:db8:99::2"


def test_chains_go_with_the_last_mapping_of_the_network(node: Node) -> None:
    """Maps and chains for conditions stay while a mapping needs them, no longer."""
    node.publish(node.container(4), 4, mapping(8084), name="free")
    requests = []
    for number in (2, 3):
        conf, options = request(
            node.container(number), number, mapping(8080 + number), **NOT_UPLINK
        )
        node.cni.ok("portmap", "ADD", conf, **options)
        requests.append((conf, options))
    assert len(chains()) == 6
    counts = []
    for conf, options in requests:
        node.cni.ok("portmap", "DEL", conf, **options)
        counts.append(len(chains()))
    assert counts == [6, 0]
    assert elements("hostports4") == {"tcp . 8084": "10.1.0.4 . 80"}


def test_sets_and_strings_are_conditions(node: Node) -> None:
    """A set of addresses over several tokens is taken as nft takes it."""
    space = node.container(2)
    tokens = ["ip", "saddr", "{", "198.51.100.0/24,", "192.0.2.1", "}"]
    node.publish(space, 2, mapping(8080), conditionsV4=tokens)
    with serving(space, "web"):
        assert ask_from(node.outside, NODE, 8080) == "web 198.51.100.2"
        assert ask_from(node.container(3), "10.1.0.1", 8080) == ""


@pytest.mark.parametrize(
    ("key", "tokens", "code"),
    (
        ("conditionsV4", ["-s", "10.0.0.0/8"], 2),
        ("conditionsV6", ["!", "-d", "fd00::/8"], 2),
        ("conditionsV4", ["ip", "saddr", "bogus;"], 7),
        ("conditionsV4", ["accept"], 7),
        ("conditionsV4", ["meta", "mark", "set", "1"], 7),
        ("conditionsV4", ["}", "chain", "x", "{"], 7),
        ("conditionsV4", ["iifname", '"eth0'], 7),
        ("conditionsV4", ["iifname", "eth0\nflush ruleset"], 7),
        ("conditionsV4", ["iifname", "eth0", "#"], 7),
        ("conditionsV4", ["no", "such", "match"], 7),
        ("conditionsV6", ["ip6", "saddr", "10.0.0.300"], 7),
        ("conditionsV4", ["ip", "saddr", "@nowhere"], 7),
        ("conditionsV4", [" "], 7),
    ),
)
def test_bad_conditions_change_nothing(
    node: Node, key: str, tokens: list[str], code: int
) -> None:
    """What is no condition in nft's language is refused with key and value."""
    space = node.container(2)
    conf, options = request(space, 2, mapping(8080), **{key: tokens})
    error = node.cni.refused("portmap", "ADD", conf, **options)
    assert error["code"] == code
    assert error["msg"].startswith(f"use {key} {' '.join(tokens)!r}: ")
    assert nft_objects("ruleset") == []


def test_delete_works_with_broken_conditions(node: Node) -> None:
    """DEL withdraws the ports though the conditions were broken since."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080), **NOT_UPLINK)
    conf, options = request(space, 2, conditionsV4=["-s", "1"], conditionsV6="wrong")
    node.cni.ok("portmap", "DEL", conf, **options)
    assert nft_objects(*TABLE) == []
