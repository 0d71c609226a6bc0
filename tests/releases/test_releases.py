# SPDX-License-Identifier: Apache-2.0
"""What an earlier release made and wrote down is served by this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run

from tests.releases.built import RECORDED
from tests.releases.observed import HOST, comments, parameters, world
from tests.releases.remaining import on_host, without_bridges

# Those whose last plugin changes what the one before it has made.
TUNED = [name for name in RECORDED if name.endswith(("/chain.json", "/tuning.json"))]

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.releases.conftest import Node


def assert_nothing_left(node: Node, lost: Collection[str] = ()) -> None:
    """Have the host as before the recorded attachment, but for links that are lost."""
    links = [link for link in node.before["links"] if link["name"] not in lost]
    before = without_bridges({**node.before, "links": links})
    assert on_host(node.spaces[HOST]) == {**before, "rules": [], "files": []}


def names(described: dict[str, Any]) -> list[str]:
    """Return the names of the links in what describes a namespace."""
    return [link["name"] for link in described["links"]]


def inside(node: Node) -> tuple[list[str], dict[str, str]]:
    """Return the links in the container, and parameters not as in a new namespace."""
    links = [link["ifname"] for link in node.one.space.ip("link", "show") if link]
    return links, parameters(node.one.space)


def test_world_is_the_recorded_one(node: Node) -> None:
    """What is built from a recording is, in each detail, what was recorded.

    Another nft has other words for the same rules.
    """
    found, recorded = world(node.spaces), dict(node.world)
    if run("nft", "--version").strip() != node.nft:
        recorded["rules"] = found["rules"]
    assert found == recorded


def test_check_finds_nothing_amiss(node: Node) -> None:
    """CHECK of every plugin succeeds."""
    node.one.check()


def test_del_leaves_nothing(node: Node) -> None:
    """DEL leaves rules, links, records and leases as without the container."""
    node.one.delete()
    assert inside(node) == (["lo"], {})
    assert_nothing_left(node)


@pytest.mark.parametrize("node", TUNED, indirect=True)
def test_del_of_tuning_gives_back_what_was_there(node: Node) -> None:
    """DEL of the last plugin, tuning, leaves MAC and MTU as the first one made them."""
    node.one.delete(but=len(node.one.plugins) - 1)
    (link,) = node.one.space.ip("link", "show", "eth0")
    ((mac, mtu),) = [
        (one["mac"], one["mtu"])
        for one in node.one.results[0]["interfaces"]
        if one["name"] == "eth0"
    ]
    assert (link["address"], link["mtu"], link["txqlen"]) == (mac, mtu, 1000)
    assert {"PROMISC", "ALLMULTI"} & set(link["flags"]) == set()


@pytest.mark.parametrize("named", [True, False])
def test_del_of_a_dead_container_leaves_nothing(node: Node, *, named: bool) -> None:
    """DEL after the namespace is gone leaves nothing, whether it is still named."""
    path = node.one.space.path
    node.spaces["c1"].delete()
    node.one.delete(netns=path if named else "")
    # A virtual device that was lent died with the namespace it was in.
    lent = set(names(node.before)) - set(names(node.world["spaces"][HOST]))
    assert_nothing_left(node, lost=lent)


def test_del_by_record_needs_no_configuration(node: Node) -> None:
    """DEL leaves nothing, too, where no key of the configuration can be used."""
    node.one.delete_without_configuration()
    assert inside(node) == (["lo"], {})
    assert_nothing_left(node)


def test_gc_without_valid_attachment_leaves_nothing(node: Node) -> None:
    """GC that is told of no attachment leaves nothing of one."""
    node.one.collect()
    assert_nothing_left(node)


def test_gc_keeps_a_valid_attachment(node: Node) -> None:
    """GC that is told of the attachment changes nothing in the kernel, and no lease."""
    before = without_records(world(node.spaces))
    node.one.collect(node.one)
    assert without_records(world(node.spaces)) == before
    node.one.check()


def without_records(described: dict[str, Any]) -> dict[str, Any]:
    """Return what describes a world, with no files but those of host-local.

    A table that is declared anew stands behind the others.
    """
    files = described["files"]
    leases = [path for path in files if path.startswith("/var/lib/cni")]
    kept = {path: files[path] for path in leases}
    return {**described, "rules": sorted(described["rules"]), "files": kept}


def test_repeated_add_of_chained_plugins_answers_the_same(node: Node) -> None:
    """ADD of each plugin that has one before it answers the same, and DEL as ever."""
    recorded = list(node.one.results)
    for number in range(1, len(recorded)):
        node.one.results[number] = node.one.add_one(number)
        assert node.one.results[number] == recorded[number]
    node.one.check()
    node.one.delete()
    assert_nothing_left(node)


@pytest.mark.parametrize("first", ["one", "other"])
def test_container_beside_it_is_served(node: Node, first: str) -> None:
    """Another container comes beside it; each outlives the other, whole and alone."""
    recorded = comments()
    node.other.add()
    node.one.check()
    pair = [node.one, node.other]
    going, staying = pair if first == "one" else reversed(pair)
    going.delete()
    staying.check()
    staying_id = staying.container_id
    assert comments() == [line.replace("c1", staying_id) for line in recorded]
    staying.delete()
    assert_nothing_left(node)
