# SPDX-License-Identifier: Apache-2.0
"""Nodes of one network: they join, containers reach each other, and nothing is left."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from netns.net import machines
from netns.net.machines import wait_until

if TYPE_CHECKING:
    from netns.net.machines import Lan, Node

POOLS = ("--pool", "10.64.0.0/16", "--pool6", "fd00:64::/40")


@pytest.fixture(scope="module")
def nodes(lan: Lan) -> list[Node]:
    """Two nodes that are in the network `apps`, with agents."""
    found = [lan.node(number) for number in (11, 12)]
    found[0].ok("net", "create", "apps", *POOLS)
    for each in found:
        each.start()
        each.ok("net", "join", "apps")
    wait_until(lambda: all(_knows(each, 1) for each in found))
    return found


def _knows(node: Node, others: int) -> bool:
    (told,) = json.loads(node.cnipy("net", "status", "--json")[1])["networks"]
    return bool(told["peers"] == others)


def test_containers_of_two_nodes_reach_each_other(nodes: list[Node]) -> None:
    """By both families, without masquerading between them, and each by its own way."""
    one, other = nodes
    first, second = one.container("apps", "web"), other.container("apps", "db")
    assert one.reaches(second, by="web")
    assert other.reaches(first, by="db")
    for each, mine in ((one, "n12"), (other, "n11")):
        blocks = set(one.told("net", "show", mine)[0]["blocks"])
        wait_until(lambda e=each, b=blocks: b <= {*e.routes(4), *e.routes(6)})
    wait_until(lambda: "db.apps" in _asked(one, "web", second))
    wait_until(lambda: second in _asked(one, "web", "db.apps"))
    assert second not in _asked(one, "web", "other.apps")
    for each, name in ((one, "web"), (other, "db")):
        each.ok("del", "apps", name)


@pytest.mark.parametrize(
    "backend",
    [
        "vxlan",
        pytest.param("wireguard", marks=pytest.mark.needs_kernel("wireguard")),
    ],
)
def test_agents_have_ways_by_each_backend(backend: str, nodes: list[Node]) -> None:
    """A second network beside the first, through a device of the backend's kind."""
    pools = ("--pool", "10.66.0.0/16", "--pool6", "fd00:66::/40")
    nodes[0].ok("net", "create", "more", *pools, "--backend", backend)
    for each in nodes:
        each.ok("net", "join", "more")
    (one, other), found = nodes, [each.container("more", "inside") for each in nodes]
    (link,) = one.json("ip", "-d", "-j", "link", "show", "cnipy.2")
    assert link["linkinfo"]["info_kind"] == backend
    before = _received(one)
    wait_until(lambda: one.reaches(found[1], by="inside"))
    wait_until(lambda: other.reaches(found[0], by="inside"))
    for each in nodes:
        ways = [*each.routes(4).values(), *each.routes(6).values()]
        peers = [w for w in ways if "cnipy.2" in w and "nhid" in w]
        assert {w.startswith("fd00:66:") for w in peers} == {False, True}
    assert _received(one) > before
    (told,) = one.told("net", "ping", "n12", "-c", "1", "--network", "more")
    assert all(each["whole"] for each in told["addresses"])
    told = one.told("net", "ping", "-c", "1")
    assert [each["network"] for each in told if each["node"] == "n12"] == [
        "apps",
        "more",
    ]
    for each in nodes:
        each.ok("del", "more", "inside")
        each.run("ip", "netns", "del", "inside")
        each.ok("net", "leave", "more")
    nodes[0].ok("net", "rm", "more")


def _received(node: Node) -> int:
    """Return the packets that came by the second network's device."""
    (link,) = node.json("ip", "-s", "-j", "link", "show", "cnipy.2")
    return int(link["stats64"]["rx"]["packets"])


def _asked(node: Node, name: str, what: str) -> str:
    """Return what a container is answered by the name server that it was given."""
    route = node.run("ip", "-n", name, "-4", "route", "show", "default")
    inside = ("ip", "netns", "exec", name, "busybox", "nslookup", what)
    return node.run(*inside, route.split()[2], check=False)


def test_a_block_is_spare_once_one_is_used(nodes: list[Node]) -> None:
    """A partition costs nothing for as many containers as a block has."""

    def blocks() -> list[str]:
        (told,) = nodes[0].told("net", "status")["networks"]
        return list(told["blocks"])

    nodes[0].container("apps", "first")
    wait_until(lambda: sum("." in each for each in blocks()) == 2)
    held = json.loads(nodes[0].path("/var/lib/cnipy/net/apps/blocks").read_text())
    assert set(held["blocks"]) == set(blocks())
    nodes[0].ok("del", "apps", "first")


def test_records_of_strangers_are_named_and_nothing_else(
    lan: Lan, nodes: list[Node]
) -> None:
    """Garbage, and one that claims what others have, change no route on any node."""
    block = nodes[0].told("net", "show", "n12")[0]["blocks"][0]
    before = [{*each.routes(4), *each.routes(6)} for each in nodes]
    thief = {"v": 1, "node": "thief", "underlay": ["192.0.2.66"], "seq": 1}
    thief |= {"identity": "6" * 32, "blocks": [block]}
    for name, value in (("garbage", "{"), ("thief", json.dumps(thief))):
        lan.etcdctl("put", f"/cnipy/v1/apps/nodes/{name}", value)

    def named() -> set[str]:
        told = [each.told("net", "status")["networks"][0] for each in nodes]
        return {name for each in told for name in each["refused"]}

    wait_until(lambda: named() >= {"garbage", "thief"}, seconds=15)
    assert [{*each.routes(4), *each.routes(6)} for each in nodes] == before
    for name in ("garbage", "thief"):
        lan.etcdctl("del", f"/cnipy/v1/apps/nodes/{name}")
    wait_until(lambda: not named(), seconds=15)


def test_each_action_has_a_document_and_a_text(lan: Lan, nodes: list[Node]) -> None:
    """What is told of nodes, blocks and the store is told as both."""
    one = nodes[0]
    for words in (["status"], ["blocks"], ["show", "n12"], ["export"], ["repair"]):
        assert json.dumps(one.told("net", *words))
    assert "n12 at" not in one.ok("net", "status")
    wait_until(lambda: one.ok("net", "repair") == "nothing is amiss\n")
    wait_until(lambda: f" {_claimed(lan)} of 1024 " in one.ok("net", "blocks"))
    assert one.ok("net", "show", "n12").startswith(
        "n12 in apps\n  underlay: 192.0.2.12"
    )
    exported = one.told("net", "export")
    assert exported["/cnipy/v1/apps/config"]["name"] == "apps"
    (told,) = one.told("net", "ping", "n12", "-c", "1")
    assert [len(each["seconds"]) for each in told["addresses"]] == [1, 1]
    assert all(each["whole"] for each in told["addresses"])
    stranger = one.refused("net", "ping", "n99")
    assert "find node n99 in network apps: it is not known here" in stranger


def _claimed(lan: Lan) -> int:
    """Return how many IPv4 blocks the store says are claimed."""
    room = "/cnipy/v1/apps/blocks/10.64."
    return sum(key.startswith(room) for key in lan.store())


def test_who_is_in_a_network_is_not_removed(nodes: list[Node]) -> None:
    """rm, forget of oneself and leave with containers are refused, and name whom."""
    one = nodes[0]
    assert "2 nodes are in it" in one.refused("net", "rm", "apps")
    assert "it is this one" in one.refused("net", "forget", "n11")
    one.container("apps", "busy")
    assert "it is used by 1" in one.refused("net", "leave", "apps")
    assert one.reaches("192.0.2.12")
    one.ok("del", "apps", "busy")
    assert one.told("net", "status")["networks"][0]["network"] == "apps"


def test_a_network_that_is_left_leaves_nothing(lan: Lan, nodes: list[Node]) -> None:
    """Neither on the node nor in the store; the others lose their ways to it."""
    third = lan.node(13)
    before = third.run("ip", "-o", "-4", "addr"), third.run("ip", "route")
    third.ok("net", "join", "apps")
    wait_until(lambda: _knows(nodes[0], 2))
    (block, *_) = third.told("net", "show", "n13")[0]["blocks"]
    assert block in nodes[0].routes()
    third.ok("net", "leave", "apps")
    assert (third.run("ip", "-o", "-4", "addr"), third.run("ip", "route")) == before
    assert {each["ifname"] for each in third.json("ip", "-j", "link")} == {"lo", "eth0"}
    assert third.run("nft", "list", "ruleset") == ""
    assert third.run("ls", "/etc/cni/net.d", "/var/lib/cnipy/net").split() == [
        "/etc/cni/net.d:",
        "/var/lib/cnipy/net:",
    ]
    assert not machines.kept_of(lan.store(), "n13")
    wait_until(lambda: block not in nodes[0].routes())


def test_agent_of_who_left_has_nothing_to_complain_of(nodes: list[Node]) -> None:
    """Its log does not say to join what was just left."""
    third = nodes[1]
    nodes[0].ok("net", "create", "brief", "--pool", "10.73.0.0/16")
    for _ in range(3):
        third.ok("net", "join", "brief")
        wait_until(
            lambda: "heard of" in third.ok("net", "status").partition("brief")[2]
        )
        third.ok("net", "leave", "brief")
    assert "has not joined it" not in third.log_text()
    nodes[0].ok("net", "rm", "brief")


def held(node: Node) -> str:
    """Return a node's addresses; those of links alone come when they like."""
    return node.run("ip", "-o", "addr", "show", "scope", "global")


@pytest.mark.usefixtures("nodes")
def test_a_network_whose_list_is_lost_is_not_left_by_who_has_containers(
    lan: Lan,
) -> None:
    """Its blocks would be other nodes' while the containers live."""
    third = lan.node(16)
    third.ok("net", "join", "apps")
    third.container("apps", "held")
    (path,) = third.path("/etc/cni/net.d").glob("*.conflist")
    path.unlink()
    before = held(third), machines.kept_of(lan.store(), "n16")
    assert "containers have 2 addresses" in third.refused("net", "leave", "apps")
    after = held(third), machines.kept_of(lan.store(), "n16")
    assert after == before
    third.ok("net", "repair")
    third.ok("del", "apps", "held")
    third.container("apps", "again")
    third.ok("del", "apps", "again")
    next(third.path("/etc/cni/net.d").glob("*.conflist")).unlink()
    third.ok("net", "leave", "apps")
    assert "10.64." not in third.run("ip", "route")
    assert "fd00:64:" not in third.run("ip", "-6", "route")
    assert not machines.kept_of(lan.store(), "n16")


@pytest.mark.usefixtures("nodes")
def test_a_file_of_blocks_that_is_damaged_is_written_again(
    lan: Lan,
) -> None:
    """Status names it, and goes on to tell the rest."""
    third = lan.node(17)
    third.ok("net", "join", "apps")
    file = third.path("/var/lib/cnipy/net/apps/blocks")
    whole = file.read_text()
    file.write_text("{")
    (told,) = json.loads(third.cnipy("net", "status", "--json")[1])["networks"]
    assert "cnipy/net/apps/blocks" in told["faults"]["blocks"]
    third.ok("net", "repair")
    assert file.read_text() == whole
    third.ok("net", "leave", "apps")


@pytest.mark.usefixtures("nodes")
def test_a_block_whose_claim_was_cut_off_is_taken_by_repair(lan: Lan) -> None:
    """The store says that it is the node's, and the node knew nothing of it."""
    third = lan.node(21)
    third.ok("net", "join", "apps")
    claim = next(v for k, v in lan.store().items() if "/blocks/" in k and '"n21"' in v)
    lan.etcdctl("put", "/cnipy/v1/apps/blocks/10.64.99.64_26", claim)
    assert "took block 10.64.99.64/26" in third.ok("net", "repair")
    own = json.loads(third.path("/var/lib/cnipy/net/apps/own").read_text())
    assert "10.64.99.64/26" in own["blocks"]
    held = json.loads(third.path("/var/lib/cnipy/net/apps/blocks").read_text())
    assert "10.64.99.64/26" in held["blocks"]
    third.ok("net", "leave", "apps")
    assert not machines.kept_of(lan.store(), "n21")


@pytest.mark.usefixtures("nodes")
def test_a_network_that_was_left_and_joined_behind_the_agents_back_is_followed(
    lan: Lan,
) -> None:
    """As where the commands were killed before they told the agent."""
    third = lan.node(22)
    third.start()
    third.ok("net", "join", "apps")
    socket = third.path("/run/cnipy/net.sock")
    socket.rename(socket.with_suffix(".away"))
    third.ok("net", "leave", "apps")
    wait_until(lambda: "apps: this node has left it" in third.log_text())
    third.ok("net", "join", "apps")
    socket.with_suffix(".away").rename(socket)
    third.ok("net", "join", "apps")  # which tells it
    wait_until(lambda: _faults(third) == {} and (_heard(third) or 9) < 1)
    third.ok("net", "leave", "apps")


@pytest.mark.usefixtures("nodes")
def test_what_was_wrong_when_an_agent_began_is_no_fault_for_ever(lan: Lan) -> None:
    """Such as an underlay that comes after it, at boot."""
    third = lan.node(23)
    third.ok("net", "join", "apps")
    third.run("ip", "addr", "del", "192.0.2.23/24", "dev", "eth0")
    third.start()
    wait_until(lambda: "192.0.2.23" in _faults(third).get("ways", ""))
    third.run("ip", "addr", "add", "192.0.2.23/24", "dev", "eth0")
    wait_until(lambda: _faults(third) == {})
    third.ok("net", "leave", "apps")


def test_a_spare_block_that_nobody_needs_any_more_is_no_fault(lan: Lan) -> None:
    """A pool that is all claimed is one only while a container has addresses."""
    node = lan.node(24)
    node.start()
    node.ok("net", "create", "tiny", "--pool", "10.68.0.0/29", "--block", "29")
    node.ok("net", "join", "tiny")
    node.container("tiny", "pod")
    wait_until(lambda: "all 1 blocks are claimed" in str(_faults(node)))
    node.ok("del", "tiny", "pod")
    wait_until(lambda: _faults(node) == {})
    node.ok("net", "leave", "tiny")
    node.ok("net", "rm", "tiny")


def _faults(node: Node) -> dict[str, str]:
    """Return what is wrong in the node's one network, and with it in the agent."""
    told = json.loads(node.cnipy("net", "status", "--json")[1])
    return {**told["faults"], **told["networks"][0]["faults"]}


def _heard(node: Node) -> float | None:
    (told,) = json.loads(node.cnipy("net", "status", "--json")[1])["networks"]
    heard: float | None = told["heard"]
    return heard


@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
@pytest.mark.parametrize("damaged", ["config", "own"])
def test_node_whose_files_are_damaged_leaves(
    damaged: str,
    offline: bool,  # noqa: FBT001 - a parameter of the test
    lan: Lan,
    nodes: list[Node],
) -> None:
    """As they say themselves; what the store has is gone, or told."""
    third = lan.node(20)
    before = third.run("ip", "-o", "-4", "addr"), third.run("ip", "route")
    third.ok("net", "join", "apps")
    third.container("apps", "pod")
    third.ok("del", "apps", "pod")
    third.path(f"/var/lib/cnipy/net/apps/{damaged}").write_text("{")
    assert "`cnipy net leave apps` removes" in third.refused("net", "repair")
    said = third.ok("net", "leave", "apps", *(["--offline"] if offline else []))
    assert (third.run("ip", "-o", "-4", "addr"), third.run("ip", "route")) == before
    assert {each["ifname"] for each in third.json("ip", "-j", "link")} == {"lo", "eth0"}
    assert not third.json("ip", "-j", "nexthop")
    assert third.run("ls", "/etc/cni/net.d", "/var/lib/cnipy/net").split() == [
        "/etc/cni/net.d:",
        "/var/lib/cnipy/net:",
    ]
    stays = bool(machines.kept_of(lan.store(), "n20"))
    assert stays == (offline or damaged == "own")
    assert ("`cnipy net forget n20 --network apps`" in said) == stays
    if stays:
        nodes[0].ok("net", "forget", "n20", "--network", "apps")
    lan.end(third, 20)


@pytest.mark.usefixtures("nodes")
def test_node_with_a_block_of_kubernetes_lacks_no_other(
    lan: Lan,
) -> None:
    """That it cannot have a spare one is no fault."""
    third = lan.node(18)
    third.start()
    cidrs = ("10.64.200.0/26", "fd00:64:c8::/112")
    third.ok("net", "join", "apps", *(w for c in cidrs for w in ("--pod-cidr", c)))
    third.container("apps", "pod")
    time.sleep(1)  # some polls
    (told,) = third.told("net", "status")["networks"]
    assert sorted(told["blocks"]) == sorted(cidrs)
    third.ok("del", "apps", "pod")
    third.ok("net", "leave", "apps")


def test_agent_joins_what_net_toml_names(lan: Lan, nodes: list[Node]) -> None:
    """Without anybody's call, and is in the network as after one."""
    node = lan.node(15)
    conf = node.path("/etc/cnipy/net.toml")
    conf.write_text(f'networks = ["apps"]\n{conf.read_text()}')
    node.start()
    wait_until(lambda: node.run("ls", "/etc/cni/net.d").split() == ["10-apps.conflist"])
    wait_until(lambda: _knows(node, len(nodes)))
    node.stop()
    assert (
        "net.toml has the next agent join apps" in node.cnipy("net", "leave", "apps")[2]
    )


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--pool", "10.64.0.0/16"), "apps has 10.64.0.0/16"),
        (("--pool", "192.0.2.0/24"), "eth0 has 192.0.2.11/24"),
        (("--pool", "10.65.0.0/16", "--block", "8"), "not /8"),
        (("--pool", "10.65.0.1/16"), "has host bits set"),
        (("--pool", "fd00::/40"), "no network of IPv4"),
        (("--pool", "224.0.0.0/16"), "multicast"),
        ((), "are needed"),
        (("--pool", "10.65.0.0/16", "--vni", "1"), "VNI 1 is another network's"),
        (("--pool", "10.65.0.0/16", "--underlay", "10.65.0.0/24"), "overlaps the pool"),
        (("--pool", "10.65.0.0/16", "--mtu", "500"), "less than 1280"),
        (("--pool", "10.65.0.0/16", "--forget-after", "9"), "60 s or more"),
    ],
)
def test_what_cannot_be_created_is_refused_by_name(
    words: tuple[str, ...], cause: str, lan: Lan, nodes: list[Node]
) -> None:
    """Nothing is written to the store then."""
    assert cause in nodes[0].refused("net", "create", "more", *words)
    found = lan.store()
    assert not [key for key in found if "/more/" in key]
    assert [key for key in found if "/_vnis/" in key] == ["/cnipy/v1/_vnis/1"]


def test_port_of_a_network_is_its_own_and_told(lan: Lan) -> None:
    """Who opens ports between nodes is told which, and none where there is none."""
    node = lan.node(19)
    assert "none is joined" in node.cnipy("net", "status")[1]
    first = ("--pool", "10.69.0.0/16", "--port", "4790")
    node.ok("net", "create", "first", *first)
    wanted = {"one": ("gpe", 14790), "two": ("wireguard", 51820)}
    wanted |= {"three": ("wireguard", 51821), "four": ("host-gw", 0)}
    for number, (name, (backend, port)) in enumerate(wanted.items(), 70):
        pool = ("--pool", f"10.{number}.0.0/16", "--backend", backend)
        said = node.ok("net", "create", name, *pool)
        assert (f"open UDP port {port} between" in said) == bool(port)
        kept = lan.etcdctl("get", "--print-value-only", f"/cnipy/v1/{name}/config")
        assert json.loads(kept)["port"] == port
    for name in ("first", *wanted):
        node.ok("net", "rm", name)
    marked = {name for key, name in lan.store().items() if "/_removed/" in key}
    assert marked >= {"first", *wanted}  # which no node is to write again


@pytest.mark.usefixtures("nodes")
def test_a_network_of_ones_own_in_the_pool_is_named(lan: Lan) -> None:
    """Who has a bridge, or a list, with a part of the pool cannot join."""
    node = lan.node(14)
    node.run("ip", "link", "add", "br9", "type", "bridge")
    node.run("ip", "addr", "add", "10.64.9.1/24", "dev", "br9")
    assert "br9 has 10.64.9.1/24" in node.refused("net", "join", "apps")
    assert not machines.kept_of(lan.store(), "n14")
    assert node.run("ls", "/etc/cni/net.d") == ""
