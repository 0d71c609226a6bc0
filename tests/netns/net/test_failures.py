# SPDX-License-Identifier: Apache-2.0
"""What fails among many nodes (docs/many-nodes.md): most lines of the table.

Store, peers and agents go and come; what lives between containers goes on.
"""

from __future__ import annotations

import ipaddress
import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from netns.net import machines, pairs
from netns.net.machines import ETCD, wait_until
from netns.net.pairs import address, network, status, talk, ways

if TYPE_CHECKING:
    from netns.net.machines import Lan, Node


@pytest.fixture(scope="module")
def joined(lan: Lan) -> list[Node]:
    return pairs.joined(lan)


@pytest.fixture
def pair(joined: list[Node]) -> list[Node]:
    """Both, when they have no way to any other that a test before had join."""
    others = ("192.0.2.12", "192.0.2.11")
    wait_until(
        lambda: all(
            f"via {other} " in line
            for node, other in zip(joined, others, strict=True)
            for line in ways(node).values()
        )
    )
    return joined


def test_store_away_costs_nothing_until_the_reserve_is_gone(
    lan: Lan, pair: list[Node]
) -> None:
    """Traffic, ADD within the blocks and DEL go on; then the reason is told."""
    one = pair[0]
    wait_until(lambda: len(network(one)["blocks"]) >= 2)
    lan.stop_etcd()
    blocks = len(network(one)["blocks"])
    try:
        assert talk(pair)
        given = []
        while True:
            name = f"more{len(given)}"
            one.run("ip", "netns", "add", name)
            code, stdout, stderr = one.cnipy("add", "apps", name)
            if code:
                break
            given.append(json.loads(stdout)["ips"][0]["address"])
        assert len(set(given)) == len(given) == blocks * 5 - 1
        assert "(code 11)" in stderr
        assert "the store is away" in stderr
        assert f"{ETCD}:2379" in stderr
        assert talk(pair)
        assert "the store is away" in status(one)["store"]
        for number in range(len(given)):
            one.ok("del", "apps", f"more{number}")
    finally:
        lan.start_etcd()
    wait_until(lambda: not network(one)["faults"], 30)
    one.ok("add", "apps", f"more{len(given)}")
    one.ok("del", "apps", f"more{len(given)}")


def test_agent_that_is_killed_changes_nothing(pair: list[Node]) -> None:
    """Neither does its next one, which finds all as it should be."""
    one = pair[0]
    before = one.run("ip", "-d", "route"), one.run("ip", "nexthop")
    one.stop(signal.SIGKILL)
    assert (one.run("ip", "-d", "route"), one.run("ip", "nexthop")) == before
    assert talk(pair)
    one.start()
    wait_until(lambda: network(one)["heard"] is not None)
    assert (one.run("ip", "-d", "route"), one.run("ip", "nexthop")) == before


def test_agent_that_is_asked_to_end_leaves_all_but_its_socket(
    pair: list[Node],
) -> None:
    """SIGTERM ends it at once; routes stay, and another may publish."""
    one = pair[0]
    before = one.run("ip", "-d", "route")
    one.stop()
    assert not one.path("/run/cnipy/net.sock").exists()
    assert one.run("ip", "-d", "route") == before
    assert "agent: none runs" in one.cnipy("net", "status")[1]
    one.start()


def test_node_boots_without_the_store(lan: Lan, pair: list[Node]) -> None:
    """Device, routes and blocks come from the disk when kernel and store have none."""
    one = pair[0]
    before = ways(one)
    one.stop(signal.SIGKILL)
    lan.stop_etcd()
    try:
        for dst in before:
            one.run("ip", "route", "del", dst)
        one.start()
        wait_until(lambda: ways(one) == before)
        assert talk(pair)
    finally:
        lan.start_etcd()


def test_ways_are_put_back_without_the_store(lan: Lan, pair: list[Node]) -> None:
    """A link that was down for a moment takes all routes by it along."""
    one = pair[0]
    before = ways(one)
    # Else its address of IPv6 is gone, and others are told so.
    one.run("sysctl", "-qw", "net.ipv6.conf.eth0.keep_addr_on_down=1")
    lan.stop_etcd()
    try:
        wait_until(lambda: "poll" in network(one)["faults"], 30)
        one.run("ip", "link", "set", "eth0", "down")
        one.run("ip", "link", "set", "eth0", "up")
        assert ways(one) != before
        wait_until(lambda: ways(one) == before)
        wait_until(lambda: talk(pair))
    finally:
        lan.start_etcd()
        one.run("ip", "route", "replace", "default", "via", ETCD)


def test_publisher_that_dies_is_followed_by_another(lan: Lan, pair: list[Node]) -> None:
    """Within the time of its lease; what was new meanwhile is heard of then."""
    wait_until(lambda: any(network(each)["publishes"] for each in pair), 30)
    first = next(each for each in pair if network(each)["publishes"])
    second = next(each for each in pair if each is not first)
    first.stop(signal.SIGKILL)
    third = lan.node(13)
    third.ok("net", "join", "apps")
    wait_until(lambda: network(second)["publishes"], 30)
    wait_until(lambda: network(second)["peers"] == 2)
    first.start()
    wait_until(lambda: network(first)["peers"] == 2)
    third.ok("net", "leave", "apps")
    wait_until(lambda: all(network(each)["peers"] == 1 for each in pair))


def test_node_cut_off_from_the_store_keeps_its_ways(pair: list[Node]) -> None:
    """Others keep theirs to it, too; and it hears what is new when it is back."""
    one, other = pair
    one.run("ip", "route", "add", "blackhole", f"{ETCD}/32")
    wait_until(lambda: "poll" in network(one)["faults"], 30)
    before = ways(one), ways(other)
    assert talk(pair)
    one.container("apps", "late")
    assert other.reaches(address(one, "late"), by="db")
    assert (ways(one), ways(other)) == before
    one.run("ip", "route", "del", "blackhole", f"{ETCD}/32")
    wait_until(lambda: not network(one)["faults"], 30)
    one.ok("del", "apps", "late")


def test_node_that_is_dead_is_forgotten_when_it_is_said(
    lan: Lan, pair: list[Node]
) -> None:
    """Its routes stay until then; what it had is others' to claim."""
    dead = lan.node(14)
    dead.ok("net", "join", "apps")
    wait_until(lambda: network(pair[0])["peers"] == 2)
    blocks = pair[0].told("net", "show", "n14")[0]["blocks"]
    lan.cut(14)
    time.sleep(1)
    assert set(blocks) <= ways(pair[0]).keys()
    gone = pair[1].told("net", "forget", "n14")["removed"]
    assert f"/cnipy/v1/apps/blocks/{blocks[0].replace('/', '_')}" in gone
    wait_until(lambda: not {*blocks} & ways(pair[0]).keys())
    assert not machines.kept_of(lan.store(), "n14")
    assert "no network has it" in pair[1].refused("net", "forget", "n14")


def claimed(lan: Lan) -> set[str]:
    """Return the keys of nodes and what they have, without names."""
    rooms = ("/blocks/", "/nodes/", "/underlay/")
    return {key for key in lan.store() if any(room in key for room in rooms)}


def test_second_of_a_name_or_an_address_is_refused_by_name(
    lan: Lan, pair: list[Node]
) -> None:
    """It changes nothing, and has no list, no device and no cache."""
    twin = lan.node(15, "n11")
    before = claimed(lan)
    assert "another node has that name" in twin.refused("net", "join", "apps")
    twin.path("/etc/cnipy/net.toml").write_text(
        twin.path("/etc/cnipy/net.toml").read_text().replace('"n11"', '"n15"')
    )
    # Its address is n12's for nobody else: only who has it on eth0 says so there.
    twin.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    twin.run("ip", "addr", "flush", "dev", "eth0")
    twin.run("ip", "addr", "add", "192.0.2.15/24", "dev", "eth0")
    conf = twin.path("/etc/cnipy/net.toml")
    conf.write_text(conf.read_text().replace('["eth0"]', '["192.0.2.12"]'))
    # Or it answers for the address that it is to claim, and who has it is not reached.
    twin.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    twin.run("ip", "link", "add", "u0", "up", "type", "veth", "peer", "name", "u1")
    twin.run("ip", "addr", "add", "192.0.2.12/32", "dev", "u0")
    assert "192.0.2.12 is that of node n12" in twin.refused("net", "join", "apps")
    assert claimed(lan) == before
    assert twin.run("ls", "/etc/cni/net.d") == ""
    assert not twin.path("/var/lib/cnipy/net/apps").exists()
    assert talk(pair)


def test_device_of_somebody_else_is_named_until_it_is_gone(pair: list[Node]) -> None:
    """It has the name of the network's: nothing is made of it, and all is there again
    when the name is free.
    """
    one = pair[0]
    before = ways(one)
    names = [each["ifname"] for each in one.json("ip", "-j", "link", "show")]
    (device,) = (name for name in names if name.startswith("cnipy."))
    # The agent makes its own again within a poll.
    taken = f"until ip link add {device} type bridge; do ip link del {device}; done"
    one.run("sh", "-c", taken)
    cause = f"use link {device}: it is none of network apps"
    wait_until(lambda: cause in network(one)["faults"].get("ways", ""))
    one.run("ip", "link", "del", device)
    wait_until(lambda: not network(one)["faults"])
    assert lead_still([one], [before])
    assert talk(pair)


def test_node_that_cannot_be_reached_is_named(lan: Lan, pair: list[Node]) -> None:
    """By host-gw that is one beyond a router: in log and status, once; all others are
    reached as before.
    """
    before = [ways(each) for each in pair]
    far = lan.node(18)
    far.run("ip", "addr", "add", "203.0.113.18/24", "dev", "eth0")
    conf = far.path("/etc/cnipy/net.toml")
    conf.write_text(conf.read_text().replace('["eth0"]', '["203.0.113.18"]'))
    status, _, said = far.cnipy("net", "join", "apps")
    cause = "is not in 203.0.113.0/24 of eth0: host-gw reaches neighbours only"
    assert (status, said.count(cause)) == (0, 2)
    cause = "skipped: node n18: 203.0.113.18 is not in 192.0.2.0/24 of eth0"
    wait_until(lambda: all(cause in network(e)["faults"].get("ways", "") for e in pair))
    assert pair[0].cnipy("net", "status")[0] == 1
    assert lead_still(pair, before)
    assert talk(pair)
    far.ok("net", "leave", "apps")
    wait_until(lambda: not any("ways" in network(each)["faults"] for each in pair))
    assert [each.log_text().count(cause) for each in pair] == [1, 1]
    lan.end(far, 18)


def lead_still(nodes: list[Node], before: list[dict[str, str]]) -> bool:
    """Tell whether all ways of before are as they were; that to a spare block is new
    where it was claimed meanwhile.
    """
    each_was = zip(nodes, before, strict=True)
    return all(was.items() <= ways(each).items() for each, was in each_was)


def test_store_that_is_lost_hears_all_again(lan: Lan, pair: list[Node]) -> None:
    """Nothing of it is asked of the administrator, and traffic goes on meanwhile."""
    before = {key for key in lan.store() if "/blocks/" in key or "/nodes/" in key}
    routes = [ways(each) for each in pair]
    lan.stop_etcd(lose=True)
    lan.start_etcd()
    wait_until(lambda: before <= {*lan.store()}, 30)
    assert talk(pair)
    wait_until(lambda: all(not network(each)["faults"] for each in pair), 30)
    assert lead_still(pair, routes)


def test_block_claimed_twice_after_a_restore_is_given_by_one(
    lan: Lan, pair: list[Node]
) -> None:
    """The later node stops using it and names the other; no address is there twice."""
    one = pair[0]
    one.stop()
    # Not that of `web`, which lives on as nobody's elsewhere.
    web, room = address(one, "web"), "/cnipy/v1/apps/blocks/"
    own = [k for k, v in lan.store().items() if k.startswith(room) and '"n11"' in v]
    blocks = [key.removeprefix(room).replace("_", "/") for key in own]
    block = next(each for each in blocks if not _inside(web, each))
    key = f"{room}{block.replace('/', '_')}"
    claim = json.dumps({"node": "n12", "identity": "f" * 32})
    lan.etcdctl("put", key, claim)
    lan.etcdctl("del", "/cnipy/v1/apps/nodes/n11")
    one.start()
    said = f"block {block} of apps is node n12's now"
    wait_until(lambda: said in one.log_text(), 30)
    assert block not in network(one)["blocks"]
    name = one.container("apps", "after")
    assert not _inside(name, block)
    one.ok("del", "apps", "after")
    wait_until(lambda: talk(pair))  # for its record was gone meanwhile


@pytest.mark.usefixtures("pair")
def test_block_that_is_lost_stays_as_long_as_its_containers(
    lan: Lan,
) -> None:
    """After the last one nothing on the node leads there, and nothing is amiss."""
    third = lan.node(17)
    third.ok("net", "join", "apps")
    lone = third.container("apps", "lone")
    (block,) = [b for b in network(third)["blocks"] if _inside(lone, b)]
    key = f"/cnipy/v1/apps/blocks/{block.replace('/', '_')}"
    lan.etcdctl("put", key, json.dumps({"node": "n12", "identity": "f" * 32}))
    lan.etcdctl("del", "/cnipy/v1/apps/nodes/n17")
    third.ok("net", "repair")
    third.ok("net", "repair")
    assert network(third)["unusable"] == [block]
    assert "dev br-apps" in third.routes()[block]
    third.ok("del", "apps", "lone")
    assert "dev br-apps" in third.routes()[block]  # else this shows nothing
    third.ok("net", "repair")
    assert block not in third.routes()
    assert network(third)["unusable"] == []
    third.ok("net", "leave", "apps")
    lan.etcdctl("del", key)


def _inside(one: str, block: str) -> bool:
    return ipaddress.ip_address(one) in ipaddress.ip_network(block)


def record(**keys: Any) -> str:
    """Return the record of a node `bad`."""
    usual = {"v": 1, "node": "bad", "underlay": ["192.0.2.99"], "identity": "e" * 32}
    return json.dumps(usual | keys)


def test_agents_killed_at_any_instant_lose_and_double_nothing(
    lan: Lan, pair: list[Node]
) -> None:
    """Whatever one was about: joining, claiming, publishing, applying."""
    one, other = pair
    third = lan.node(16)
    for number in range(20):
        verb = "leave" if number % 2 else "join"
        words = third.words(str(machines.COMMAND), "net", verb, "apps")
        call = subprocess.Popen(words, env=machines.environment())
        time.sleep(number * 0.02)
        call.kill()
        call.wait()
        one.stop(signal.SIGKILL)
        one.start()
        time.sleep(number * 0.02)
        assert talk(pair)
        ways(other)  # which has none of them twice
    third.ok("net", "join", "apps")
    claimed = [k for k in lan.store() if "/blocks/" in k]
    held = [
        f"/cnipy/v1/apps/blocks/{block.replace('/', '_')}"
        for each in (one, other, third)
        for block in network(each)["blocks"]
    ]
    assert len(set(held)) == len(held)
    assert {*held} <= {*claimed}
    third.ok("net", "leave", "apps")
    assert not machines.kept_of(lan.store(), "n16")


@pytest.mark.parametrize(
    "record",
    [
        "garbage",
        "{}",
        record(v=9),
        record(underlay=["10.64.0.9"]),
        record(blocks=["0.0.0.0/0"]),
        "x" * 70_000,
    ],
    ids=["garbage", "empty", "version", "in-pool", "everything", "oversized"],
)
def test_record_of_a_stranger_is_refused_by_name(
    record: str, lan: Lan, pair: list[Node]
) -> None:
    """It is never applied, no agent ends by it, and what works goes on working."""
    before = [ways(each) for each in pair]
    key = "/cnipy/v1/apps/nodes/bad"
    lan.etcdctl("put", key, input=record)
    try:
        wait_until(lambda: "record of node bad" in pair[1].cnipy("net", "blocks")[1])
        time.sleep(1.5)
        for each, were in zip(pair, before, strict=True):
            assert were.items() <= ways(each).items()
            assert "192.0.2.99" not in str(each.routes())
        assert all(each.agent and each.agent.poll() is None for each in pair)
    finally:
        lan.etcdctl("del", key)


@pytest.mark.parametrize("other", ["10.64.0.0/24", "10.64.0.0/14"])
def test_pool_that_changes_is_not_followed(
    other: str, lan: Lan, pair: list[Node]
) -> None:
    """The change is named, and the node goes on as before: its list has the pool, too,
    and what is of it would be masqueraded and dropped among the larger one.
    """
    key = "/cnipy/v1/apps/config"
    whole = lan.store()[key]
    changed = json.loads(whole)
    changed["pools"][0]["network"] = other
    lan.etcdctl("put", key, input=json.dumps(changed))
    try:
        said = pair[0].refused("net", "repair")
        assert f"10.64.0.0/16 in blocks of /29 has become {other} in" in said
        assert talk(pair)
    finally:
        lan.etcdctl("put", key, input=whole)
    pair[0].ok("net", "repair")


def test_ways_that_are_lost_while_the_store_is_away_come_back(
    lan: Lan, pair: list[Node]
) -> None:
    """A link that was down takes its routes with it; the node knows them itself."""
    one = pair[0]
    before = ways(one)
    lan.stop_etcd()
    try:
        wait_until(lambda: "poll" in network(one)["faults"])
        one.run("ip", "link", "set", "eth0", "down")
        assert ways(one) == {}
        one.run("ip", "link", "set", "eth0", "up")
        wait_until(lambda: ways(one) == before)
        assert talk(pair)
    finally:
        lan.start_etcd()
        one.run("ip", "-6", "addr", "replace", "2001:db8::11/64", "dev", "eth0")
        one.run("ip", "route", "replace", "default", "via", ETCD)
    wait_until(lambda: not network(one)["faults"])


def test_a_node_that_cannot_come_in_has_nothing(lan: Lan, pair: list[Node]) -> None:
    """The pool is all claimed: neither host nor store has anything of who came late,
    and the node may be called otherwise at the next try.
    """
    one, other = pair
    one.ok("net", "create", "tiny", "--pool", "10.72.0.0/26", "--block", "26")
    one.ok("net", "join", "tiny")
    links = {each["ifname"] for each in other.json("ip", "-j", "link")}
    told = other.refused("net", "join", "tiny")
    assert "all 1 blocks are claimed" in told
    assert not other.path("/var/lib/cnipy/net/tiny").exists()
    assert {each["ifname"] for each in other.json("ip", "-j", "link")} == links
    assert not [dst for dst in other.routes() if dst.startswith("10.72.")]
    store = lan.store()
    assert machines.kept_of(store, "n12") == machines.kept_of(
        {key: store[key] for key in store if "/tiny/" not in key}, "n12"
    )
    conf = other.path("/etc/cnipy/net.toml")
    before = conf.read_text()
    conf.write_text(before.replace('"n12"', '"elsewhere"'))
    (apps,) = (
        each
        for each in json.loads(other.cnipy("net", "status", "--json")[1])["networks"]
        if each["network"] == "apps"
    )
    assert (
        "it joined as n12: `cnipy net leave apps`, and join" in apps["faults"]["name"]
    )
    conf.write_text(before)
    one.ok("net", "leave", "tiny")
    one.ok("net", "rm", "tiny")
