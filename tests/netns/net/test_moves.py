# SPDX-License-Identifier: Apache-2.0
"""A node's underlay address changes under its agent; its link goes, and its network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from netns.net import pairs
from netns.net.machines import ETCD, wait_until
from netns.net.pairs import CONFIG, network, talk, ways

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.net.machines import Lan, Node

ROOM = "/cnipy/v1/apps"


@pytest.fixture(scope="module")
def joined(lan: Lan) -> list[Node]:
    return pairs.joined(lan)


@pytest.fixture
def pair(joined: list[Node]) -> Iterator[list[Node]]:
    """Both, at their first addresses and well; so they are left, too."""
    wait_until(lambda: leads(joined[1], "192.0.2.11") and pairs.are_well(joined))
    yield joined
    wait_until(lambda: leads(joined[1], "192.0.2.11") and pairs.are_well(joined))
    assert pairs.run_on(joined)
    wait_until(lambda: talk(joined))


def leads(node: Node, gateway: str) -> bool:
    """Tell whether all ways of a node to another lead to an address."""
    found = ways(node)
    return bool(found) and all(f"via {gateway} " in line for line in found.values())


def moves(node: Node, *addresses: str) -> None:
    """Have a node be at other addresses, as by DHCP."""
    node.run("ip", "-4", "addr", "flush", "dev", "eth0")
    for each in addresses:
        node.run("ip", "addr", "add", f"{each}/24", "dev", "eth0")


def test_record_follows_another_address_and_peers_follow_it(
    lan: Lan, pair: list[Node]
) -> None:
    """Within some polls; the former address is anybody's then."""
    one, other = pair
    for address in ("192.0.2.61", "192.0.2.11"):
        moves(one, address)
        wait_until(lambda a=address: leads(other, a), 10)
        wait_until(lambda: len(ways(one)) == len(network(other)["blocks"]), 10)
        wait_until(lambda: talk(pair), 10)
        assert network(one)["underlay"] == [address, "2001:db8::11"]
        claimed = {k.rpartition("/")[2] for k in lan.store() if "/underlay/" in k}
        assert claimed == {address, "192.0.2.12", "2001:db8::11", "2001:db8::12"}
    assert f"this node is at {address}" in one.log_text()


def test_address_is_another_while_the_agent_is_away(pair: list[Node]) -> None:
    """The next agent sees it at once."""
    one, other = pair
    for address in ("192.0.2.62", "192.0.2.11"):
        one.stop()
        moves(one, address)
        one.start()
        wait_until(lambda a=address: leads(other, a), 10)
        wait_until(lambda: talk(pair), 10)


def test_further_addresses_change_nothing(lan: Lan, pair: list[Node]) -> None:
    """Of one family as of the other: what the record says is there still."""
    one, _ = pair
    before = lan.store()[f"{ROOM}/nodes/n11"]
    for address, length in (("192.0.2.63", 24), ("2001:db8::63", 64)):
        one.run("ip", "addr", "add", f"{address}/{length}", "dev", "eth0", "nodad")
    one.ok("net", "repair")
    assert lan.store()[f"{ROOM}/nodes/n11"] == before
    for address, length in (("192.0.2.63", 24), ("2001:db8::63", 64)):
        one.run("ip", "addr", "del", f"{address}/{length}", "dev", "eth0")


def test_node_without_an_address_says_so_and_comes_back(
    lan: Lan, pair: list[Node]
) -> None:
    """The others keep their ways to it meanwhile."""
    one, other = pair
    before = lan.store()[f"{ROOM}/nodes/n11"], ways(other)
    moves(one)
    wait_until(lambda: "no link of this node has it" in str(network(one)["faults"]))
    assert (lan.store()[f"{ROOM}/nodes/n11"], ways(other)) == before
    moves(one, "192.0.2.11")


def test_address_that_is_another_nodes_is_not_taken(lan: Lan, pair: list[Node]) -> None:
    """The other one is named, and the record stays, with what it has claimed."""
    one, other = pair
    key = f"{ROOM}/underlay/192.0.2.64"
    lan.etcdctl("put", key, json.dumps({"node": "other", "identity": "f" * 32}))
    before = lan.store()
    moves(one, "192.0.2.64")
    wait_until(lambda: "is that of node other" in str(network(one)["faults"]), 10)
    after = lan.store()
    for each in (k for k in before if "/underlay/" in k or "/nodes/" in k):
        assert after[each] == before[each]
    assert leads(other, "192.0.2.11")
    moves(one, "192.0.2.11")
    wait_until(lambda: pairs.are_well(pair), 10)
    lan.etcdctl("del", key)


def test_tunnel_follows_another_address(pair: list[Node]) -> None:
    """A device that was made for the former one is made anew."""
    one, other = pair
    one.ok("net", "create", "more", "--pool", "10.66.0.0/16", "--backend", "vxlan")
    for each in pair:
        each.ok("net", "join", "more")
    found = [each.container("more", "inside") for each in pair]
    wait_until(lambda: one.reaches(found[1], by="inside"), 20)
    for address in ("192.0.2.65", "192.0.2.11"):
        moves(one, address)
        wait_until(lambda a=address: a in other.run("bridge", "fdb"), 10)
        wait_until(lambda a=address: _local(one) == a, 10)
        wait_until(lambda: one.reaches(found[1], by="inside"), 20)
    for each in pair:
        each.ok("del", "more", "inside")
        each.run("ip", "netns", "del", "inside")
        each.ok("net", "leave", "more")
    one.ok("net", "rm", "more")


def _local(node: Node) -> str:
    """Return where the tunnel of the second network is at."""
    (link,) = node.json("ip", "-d", "-j", "link", "show", "cnipy.2")
    return str(link["linkinfo"]["info_data"]["local"])


def test_who_gives_no_sign_is_forgotten_and_comes_back(
    lan: Lan, pair: list[Node]
) -> None:
    """Never one that lives; and who was cut off for longer has its blocks again."""
    wait_until(lambda: any(network(each)["publishes"] for each in pair), 30)
    whole = lan.store()[CONFIG]
    short = {**json.loads(whole), "forgetAfter": 6}
    lan.etcdctl("put", CONFIG, input=json.dumps(short))
    for each in pair:
        each.ok("net", "repair")
        each.stop()
        each.start()
    dead = lan.node(13)
    dead.ok("net", "join", "apps")
    wait_until(lambda: any(network(each)["publishes"] for each in pair), 30)
    living = next(each for each in pair if network(each)["publishes"])
    cut = next(each for each in pair if each is not living)
    blocks = {*network(cut)["blocks"]}
    wait_until(lambda: f"{ROOM}/alive/{cut.name}" in lan.store(), 20)
    cut.run("ip", "route", "add", "blackhole", f"{ETCD}/32")
    wait_until(lambda: not ways(living), 40)
    kept = lan.store()
    assert not [k for k, v in kept.items() if "/blocks/" in k and living.name not in v]
    assert f"{ROOM}/nodes/{living.name}" in kept
    assert not [k for k in kept if k.endswith(("/n13", f"/{cut.name}"))]
    cut.run("ip", "route", "del", "blackhole", f"{ETCD}/32")
    wait_until(lambda: {*ways(living)} == blocks, 20)
    wait_until(lambda: talk(pair), 10)
    lan.etcdctl("put", CONFIG, input=whole)
    for each in pair:
        each.ok("net", "repair")
        each.stop()
        each.start()
    dead.ok("net", "leave", "apps")


def test_network_that_is_removed_is_not_written_by_who_was_away(lan: Lan) -> None:
    """Neither record nor block, name or sign; the node says what to do, and leaves."""
    one, away = lan.node(31), lan.node(32)
    pool = ("--pool", "10.67.0.0/16", "--block", "30", "--forget-after", "60")
    one.ok("net", "create", "brief", *pool, "--backend", "host-gw")
    away.ok("net", "join", "brief")
    away.start()
    away.container("brief", "early")
    wait_until(lambda: len(network(away)["blocks"]) == 2, 20)
    away.run("ip", "route", "add", "blackhole", f"{ETCD}/32")
    one.ok("net", "forget", "n32", "--network", "brief")
    one.ok("net", "rm", "brief")
    away.run("ip", "route", "del", "blackhole", f"{ETCD}/32")
    wait_until(lambda: "it was removed" in str(network(away)["faults"]), 20)
    away.container("brief", "late")
    away.run("ip", "netns", "add", "more")
    assert "it was removed" in away.refused("add", "brief", "more")
    wait_until(lambda: "`cnipy net leave brief`" in away.log_text())
    assert not [k for k in lan.store() if "/brief/" in k]
    for name in ("early", "late"):
        away.ok("del", "brief", name)
    away.ok("net", "leave", "brief")
    assert not [k for k in lan.store() if "/brief/" in k]
