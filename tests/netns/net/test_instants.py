# SPDX-License-Identifier: Apache-2.0
"""Nodes that join at one instant: each is in with what is its own, or refused."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from netns.net import machines
from netns.net.machines import COMMAND, wait_until
from netns.net.pairs import network, ways

if TYPE_CHECKING:
    from netns.net.machines import Lan, Node

POOLS = ("--pool", "10.64.0.0/24", "--block", "28", "--backend", "host-gw")
TIMES = 3  # of two at once


@pytest.fixture(scope="module")
def nodes(lan: Lan) -> list[Node]:
    """Six nodes without agents, and a network in which none is."""
    found = [lan.node(number) for number in range(11, 17)]
    found[0].ok("net", "create", "apps", *POOLS)
    return found


def at_once(nodes: list[Node], *words: str) -> list[tuple[int, str]]:
    """Return the status of a command on all nodes at one instant, and what it says."""
    calls = [
        subprocess.Popen(
            each.words(str(COMMAND), *words),
            env=machines.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in nodes
    ]
    told = [each.communicate() for each in calls]
    return [(c.returncode, t[1]) for c, t in zip(calls, told, strict=True)]


def claims(lan: Lan) -> dict[str, str]:
    """Return which identity has which name, address and block."""
    found = {}
    for key, value in lan.store().items():
        if any(room in key for room in ("/nodes/", "/underlay/", "/blocks/")):
            found[key.removeprefix("/cnipy/v1/apps/")] = json.loads(value)["identity"]
    return found


def is_bare(node: Node, *besides: str) -> bool:
    """Tell whether nothing of a network is on a node."""
    links = {each["ifname"] for each in node.json("ip", "-j", "link")}
    files = node.run("ls", "/etc/cni/net.d", "/var/lib/cnipy/net").split()
    return links == {"lo", "eth0", *besides} and len(files) == 2


def called(node: Node, name: str) -> None:
    """Have a node be called so."""
    conf = node.path("/etc/cnipy/net.toml")
    lines = conf.read_text().splitlines()
    conf.write_text("\n".join([f'node = "{name}"', *lines[1:], ""]))


def test_two_of_one_name_at_once(lan: Lan, nodes: list[Node]) -> None:
    """One is in and the other is refused by name, with nothing claimed for it."""
    two = nodes[:2]
    for each in two:
        called(each, "twin")
    for _ in range(TIMES):
        told = at_once(two, "net", "join", "apps")
        assert sorted(code for code, _ in told) == [0, 1], told
        ((loser, said),) = [
            (each, text) for each, (code, text) in zip(two, told, strict=True) if code
        ]
        assert "another node has that name" in said
        assert is_bare(loser)
        assert len({*claims(lan).values()}) == 1
        (winner,) = [each for each in two if each is not loser]
        winner.ok("net", "leave", "apps")
        assert not claims(lan)
    for each in two:
        called(each, each.name)


@pytest.mark.usefixtures("nodes")
def test_two_of_one_underlay_address_at_once(lan: Lan) -> None:
    """As of a name; the other family's address of the second is nobody's then."""
    two = [lan.node(number) for number in (21, 22)]
    shared = "192.0.2.77"
    for each in two:
        each.run("ip", "link", "add", "u0", "up", "type", "veth", "peer", "name", "u1")
        each.run("ip", "addr", "add", f"{shared}/32", "dev", "u0")
        conf = each.path("/etc/cnipy/net.toml")
        named = f'["{shared}", "eth0"]'
        conf.write_text(conf.read_text().replace('["eth0"]', named))
    for _ in range(TIMES):
        told = at_once(two, "net", "join", "apps")
        assert sorted(code for code, _ in told) == [0, 1], told
        ((loser, said),) = [
            (each, text) for each, (code, text) in zip(two, told, strict=True) if code
        ]
        (winner,) = [each for each in two if each is not loser]
        assert f"underlay address {shared} is that of node {winner.name}" in said
        assert is_bare(loser, "u0", "u1")
        assert {*claims(lan)} >= {f"nodes/{winner.name}", f"underlay/{shared}"}
        assert len({*claims(lan).values()}) == 1
        winner.ok("net", "leave", "apps")
        assert not claims(lan)


def test_many_at_once_each_have_what_is_theirs(lan: Lan, nodes: list[Node]) -> None:
    """Six come, know each other, and no block or address is there twice."""
    told = at_once(nodes, "net", "join", "apps")
    assert [code for code, _ in told] == [0] * len(nodes), told
    blocks = [b for each in nodes for b in network(each)["blocks"]]
    assert len({*blocks}) == len(blocks) == len(nodes)
    for each in nodes:
        each.start()
    for each in nodes:
        others = {*blocks} - {*network(each)["blocks"]}
        wait_until(lambda e=each, o=others: {*ways(e)} == o, 40)
    for each in nodes:
        each.stop()
    told = at_once(nodes, "net", "leave", "apps")
    assert [code for code, _ in told] == [0] * len(nodes), told
    assert not claims(lan)


def test_more_than_the_pool_has_room_for_at_once(lan: Lan, nodes: list[Node]) -> None:
    """Those that got no block are refused by name, and are as they were before."""
    room = ("--pool", "10.70.0.0/27", "--block", "29", "--backend", "host-gw")
    nodes[0].ok("net", "create", "small", *room)
    told = at_once(nodes, "net", "join", "small")
    ins = [each for each, (code, _) in zip(nodes, told, strict=True) if not code]
    outs = [each for each in nodes if each not in ins]
    assert len(ins) == 4, told
    assert all("all 4 blocks are claimed" in text for code, text in told if code)
    assert all(is_bare(each) for each in outs)
    of_outs = [f'"node":"{each.name}"' for each in outs]
    kept = {k: v for k, v in lan.store().items() if "/small/" in k and "/head" not in k}
    rooms = ("/nodes/", "/blocks/", "/underlay/")
    kept = {k: v for k, v in kept.items() if any(room in k for room in rooms)}
    assert not [k for k, v in kept.items() if any(o in v for o in of_outs)]
    ins[0].ok("net", "leave", "small")
    outs[0].ok("net", "join", "small")
    for each in (*ins[1:], outs[0]):
        each.ok("net", "leave", "small")
