# SPDX-License-Identifier: Apache-2.0
"""portmap: conditionsV4 and conditionsV6."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import nft_objects, run
from netns.portmap.helpers import (
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
    "conditionsV4": ["iifname", "!=", "eth0"],
    "conditionsV6": ["iifname", "!=", '"eth0"'],
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
        ("conditionsV4", ["-m", "set", "--match-set", "blocked", "src"], 2),
        ("conditionsV6", ["!", "-d", "fd00::/8", "-j", "DROP"], 2),
        ("conditionsV6", ["-s", "10.0.0.0/8"], 7),
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
    """What is no condition is refused with key and value."""
    space = node.container(2)
    conf, options = request(space, 2, mapping(8080), **{key: tokens})
    error = node.cni.refused("portmap", "ADD", conf, **options)
    assert error["code"] == code
    assert error["msg"].startswith(f"use {key} {' '.join(tokens)!r}: ")
    assert nft_objects("ruleset") == []


@pytest.mark.parametrize(
    ("words", "answered"),
    (
        ("! -s 198.51.100.0/24", "neighbour"),
        ("-s 198.51.100.2,192.0.2.0/24", "outside"),
        ("--source=198.51.100.9/255.255.255.0", "outside host"),
        ("-i eth+", "outside"),
        ("! --in-interface eth0", "neighbour host"),
        ("! -o eth0", "outside neighbour host"),
        ("! -d 198.51.100.0/24", ""),
        ("-p tcp -m tcp --sport 1024: --dport 8080", "outside neighbour host"),
        ("! -p tcp", ""),
        ("-m addrtype ! --src-type LOCAL --dst-type LOCAL", "outside neighbour"),
        ("-m multiport ! --dports 80,8000:8100", ""),
        ("-m multiport --dports 80,8000:8100 -i br0", "neighbour"),
        ("-m conntrack --ctstate NEW,RELATED", "outside neighbour host"),
        (f"-m conntrack --ctstate NEW ! --ctorigdst {NODE}", ""),
        (f"-m conntrack --ctorigdst {NODE} --ctorigsrc 10.1.0.0/24", "neighbour"),
        ("-m iprange --src-range 198.51.100.2-198.51.100.9", "outside"),
        ("-m mark ! --mark 0x10/0x10", "outside neighbour host"),
        ("-m comment --comment ours! -i eth0", "outside"),
    ),
)
def test_conditions_in_words_of_iptables(node: Node, words: str, answered: str) -> None:
    """Conditions as iptables writes them let through whom iptables would."""
    space, neighbour = node.container(2), node.container(3)
    node.publish(space, 2, mapping(8080), conditionsV4=words.split(), families=(4,))
    with serving(space, "web"):
        found = {
            "outside": ask_from(node.outside, NODE, 8080),
            "neighbour": ask_from(neighbour, NODE, 8080),
            "host": ask(NODE, 8080),
        }
    assert {name for name, answer in found.items() if answer} == set(answered.split())


def test_conditions_in_words_of_iptables_for_ipv6(node: Node) -> None:
    """conditionsV6 takes the words of ip6tables."""
    space = node.container(2)
    words = ["!", "-s", "2001:db8:99::/64", "-m", "addrtype", "--dst-type", "LOCAL"]
    node.publish(space, 2, mapping(8080), conditionsV6=words)
    with serving(space, "web"):
        assert ask_from(node.outside, NODE6, 8080) == ""
        assert ask_from(node.container(3), NODE6, 8080) == "web fd01::1"


BROKEN = {"conditionsV4": ["-m", "set"], "conditionsV6": ["no", ";"]}


def test_conditions_do_not_matter_without_ports(node: Node) -> None:
    """Where nothing is published, conditions that nft cannot say refuse nobody."""
    conf, options = request(node.container(2), 2, **BROKEN)
    for verb in ("ADD", "CHECK", "DEL", "STATUS"):
        node.cni.ok("portmap", verb, conf, **options)
    assert nft_objects("ruleset") == []


def test_container_keeps_the_conditions_of_its_add(node: Node) -> None:
    """CHECK and DEL go by the conditions under which ADD published the ports."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080), **NOT_UPLINK)
    conf, options = request(space, 2, mapping(8080), **BROKEN)
    node.cni.ok("portmap", "CHECK", conf, **options)
    run("nft", "flush", "chain", *TABLE[1:], min(chains()))
    node.cni.refused("portmap", "CHECK", conf, **options)
    node.cni.ok("portmap", "DEL", conf | {"conditionsV6": "wrong"}, **options)
    assert nft_objects(*TABLE) == []
