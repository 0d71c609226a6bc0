# SPDX-License-Identifier: Apache-2.0
"""The disk of a node is full or read-only: what is told of it, and that it passes.

No agent is restarted here.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from netns.net import machines
from netns.net.machines import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.net.machines import Lan, Node

CACHE, LEASES, LISTS = "/var/lib/cnipy", "/var/lib/cni", "/etc/cni/net.d"
OF_BLOCK = 5  # addresses, beside those of the network, the gateway and all
POOL = ("--pool", "10.64.0.0/16", "--block", "29", "--backend", "host-gw", "--no-names")
FULL = "no space left on device"


@pytest.fixture(scope="module")
def node(lan: Lan) -> Node:
    """A node with an agent and a container, whose directories have little room."""
    made = small(lan, 11)
    made.ok("net", "create", "apps", *POOL)
    made.start()
    made.ok("net", "join", "apps")
    made.container("apps", "web")
    wait_until(lambda: len(network(made)["blocks"]) == 2)
    return made


def small(lan: Lan, number: int) -> Node:
    """Return a node with a small file system for each directory."""
    made = lan.node(number)
    for each in (CACHE, LEASES, LISTS):
        made.run("mkdir", "-p", each)
        made.run("mount", "-t", "tmpfs", "-o", "size=128k,mode=0755", "tmpfs", each)
    return made


@contextmanager
def full(node: Node, directory: str) -> Iterator[None]:
    """Have no room in a directory."""
    fill = node.path(f"{directory}/fill")
    with fill.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert node.run("df", "--output=avail", directory).split()[1] == "0"
    try:
        yield
    finally:
        fill.unlink()


@contextmanager
def read_only(node: Node, directory: str) -> Iterator[None]:
    """Have a directory that nobody can write to."""
    node.run("mount", "-o", "remount,ro", directory)
    try:
        yield
    finally:
        node.run("mount", "-o", "remount,rw", directory)


def network(node: Node) -> Any:
    """Return what a node says of the network."""
    (found,) = json.loads(node.cnipy("net", "status", "--json")[1])["networks"]
    return found


def files(node: Node, directory: str) -> dict[str, bytes]:
    """Return what there is below a directory, by path."""
    return {
        os.path.join(top, name).partition("/root")[2]: each.read_bytes()
        for top, _, names in os.walk(node.path(directory))
        for name in names
        if name not in {"fill", "lock"} and (each := node.path(".") / top / name)
    }


def leased(node: Node) -> int:
    """Return how many addresses its containers have."""
    return len([*node.path(f"{LEASES}/networks/apps").glob("10.*")])


def blocks_of(lan: Lan, node: Node) -> set[str]:
    """Return the blocks that the store says a node has."""
    return {
        each for each in machines.kept_of(lan.store(), node.name) if "blocks" in each
    }


@pytest.mark.parametrize("state", [full, read_only])
def test_node_that_cannot_write_learns_of_others_and_claims_no_block(
    lan: Lan, node: Node, state: Any
) -> None:
    """What it hears is carried out, and is on disk when that is possible again."""
    wait_until(lambda: not network(node)["faults"])
    before, claimed = files(node, CACHE), blocks_of(lan, node)
    many = len(claimed) * OF_BLOCK - leased(node) - OF_BLOCK + 1
    other = lan.node(12)
    with state(node, CACHE):
        given = [node.container("apps", f"more{number}") for number in range(many)]
        wait_until(lambda: "spare block of IPv4" in network(node)["faults"])
        other.ok("net", "join", "apps")
        (theirs,) = other.told("net", "show", "n12")[0]["blocks"]
        wait_until(lambda: theirs in node.routes())
        wait_until(lambda: "peers" in network(node)["faults"])
        faults = network(node)["faults"]
        for each in ("peers", "spare block of IPv4"):
            assert f"{CACHE}/net/apps" in faults[each]
        assert files(node, CACHE) == before
        assert blocks_of(lan, node) == claimed
    wait_until(lambda: not network(node)["faults"])
    assert len(blocks_of(lan, node)) == len(claimed) + 1
    assert theirs in node.path(f"{CACHE}/net/apps/peers").read_text()
    assert len({*given}) == many
    other.ok("net", "leave", "apps")
    for number in range(many):
        node.ok("del", "apps", f"more{number}")
        node.run("ip", "netns", "del", f"more{number}")
    lan.end(other, 12)


def test_add_without_room_for_its_lease_leaves_nothing(node: Node) -> None:
    """It is code 5 with the directory; DEL needs no room, and ADD works with some."""
    node.container("apps", "before")
    node.run("ip", "netns", "add", "late")
    with full(node, LEASES):
        leases = files(node, LEASES)
        said = node.refused("add", "apps", "late")
        assert f"use lease directory {LEASES}/networks/apps: {FULL} (code 5)" in said
        assert files(node, LEASES) == leases
        node.ok("del", "apps", "before")
    node.ok("add", "apps", "late")
    node.ok("del", "apps", "late")


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("directory", [CACHE, LISTS])
def test_join_without_room_leaves_nothing(lan: Lan, directory: str) -> None:
    """The file is named; with room the same call is all that is needed."""
    other = small(lan, 13)
    with full(other, directory):
        said = other.refused("net", "join", "apps")
        assert f"write {directory}" in said
        assert FULL in said
        assert files(other, LISTS) == {}
        if directory == CACHE:
            assert files(other, CACHE) == {}
            assert machines.kept_of(lan.store(), "n13") == []
            assert "cnipy." not in other.run("ip", "-br", "link")
    other.ok("net", "join", "apps")
    assert other.container("apps", "web").startswith("10.64.")
    with full(other, CACHE), full(other, LEASES), full(other, LISTS):
        other.ok("del", "apps", "web")
        other.ok("net", "leave", "apps")
    assert machines.kept_of(lan.store(), "n13") == []
    assert files(other, LISTS) == files(other, CACHE) == {}
    lan.end(other, 13)


def test_repair_without_room_says_so_and_mends_with_some(node: Node) -> None:
    """A list that is gone is written when it can be, and not by halves."""
    (name,) = files(node, LISTS)
    held = node.path(f"{CACHE}/net/apps/blocks")
    before = held.read_text()
    node.path(name).unlink()
    held.unlink()
    with full(node, LISTS), full(node, CACHE):
        assert f"write {CACHE}/net/apps/blocks: {FULL}" in node.refused("net", "repair")
        assert files(node, LISTS) == {}
    with full(node, LISTS):
        assert f"write {name}: {FULL}" in node.refused("net", "repair")
        assert files(node, LISTS) == {}
    node.ok("net", "repair")
    assert [*files(node, LISTS)] == [name]
    assert held.read_text() == before


def test_agent_that_cannot_listen_says_where(lan: Lan) -> None:
    """Without room for its socket it does not start, and names it."""
    other = lan.node(14)
    other.run("mkdir", "-p", "/run/cnipy")
    options = ("-o", "nr_inodes=1,mode=0755")
    other.run("mount", "-t", "tmpfs", *options, "tmpfs", "/run/cnipy")
    assert f"/run/cnipy/net.sock: {FULL}" in other.refused("net", "agent")
    other.run("umount", "/run/cnipy")
    other.start()
    lan.end(other, 14)


@pytest.mark.usefixtures("node")
def test_log_that_cannot_be_written_ends_no_agent(lan: Lan) -> None:
    """What it had to tell is lost, and nothing else."""
    other = lan.node(15)
    other.ok("net", "join", "apps")
    other.log = Path("/dev/full")
    other.start()
    other.run("ip", "route", "add", "blackhole", f"{machines.ETCD}/32")
    wait_until(lambda: "poll" in network(other)["faults"])
    other.run("ip", "route", "del", "blackhole", f"{machines.ETCD}/32")
    wait_until(lambda: not network(other)["faults"])
    other.ok("net", "leave", "apps")
    lan.end(other, 15)
