# SPDX-License-Identifier: Apache-2.0
"""What passes by a published port is counted where that is asked for, each packet."""

from __future__ import annotations

import json
import shutil
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
    mapping,
    request,
    rules,
    serving,
)

if TYPE_CHECKING:
    from lab import Cni, Host, Space

HEADERS = {4: 28, 6: 48}  # IP and UDP
SETS = [f"{way}{family}" for way in ("received", "sent") for family in (4, 6)]
WHO = ("outside", "host", "neighbour", "itself")


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A host with a bridge that forwards, and a machine outside."""
    return Node(host, cni)


def counted(port: int = 8080) -> dict[str, tuple[int, int]]:
    """Return packets and bytes of a port by the sets that have counted any."""
    found = {}
    for item in nft_objects(*TABLE):
        listed = item.get("set", {})
        for each in listed.get("elem", []) if listed.get("name") in SETS else ():
            if each["elem"]["val"]["concat"][1] == port:
                numbers = each["elem"]["counter"]
                found[listed["name"]] = (numbers["packets"], numbers["bytes"])
    return {name: numbers for name, numbers in found.items() if numbers[0]}


@pytest.mark.parametrize(
    ("who", "at", "family"),
    [
        *((who, NODE, 4) for who in WHO),
        *((who, NODE6, 6) for who in WHO),
        ("host", "127.0.0.1", 4),  # ::1 leads to no container
    ],
)
def test_each_way_each_packet(node: Node, who: str, at: str, family: int) -> None:
    """A question and its answer are one packet each, with their headers."""
    space, neighbour = node.container(2), node.container(3)
    node.publish(space, 2, mapping(8080, protocol="udp"), counters=True)
    clients = {"outside": node.outside, "neighbour": neighbour, "itself": space}
    with serving(space, "web", udp=True):
        client = clients.get(who)
        told = (
            ask_from(client, at, 8080, udp=True) if client else ask(at, 8080, udp=True)
        )
    assert told.startswith("web ")
    assert counted() == {
        f"received{family}": (1, len("who?") + HEADERS[family]),
        f"sent{family}": (1, len(told) + HEADERS[family]),
    }


def test_bytes_of_a_stream(node: Node) -> None:
    """All of a connection is counted, not its first packet alone, and nobody else's."""
    space, other = node.container(2), node.container(3)
    node.publish(space, 2, mapping(8080), counters=True)
    node.publish(other, 3, mapping(8081))
    with serving(space, "w" * 90), serving(other, "o" * 90):
        for _ in range(20):
            assert ask_from(node.outside, NODE, 8080).startswith("w")
            assert ask_from(node.outside, NODE, 8081).startswith("o")
    found = counted()
    assert set(found) == {"received4", "sent4"}
    assert found["sent4"][1] > 20 * 90
    assert min(packets for packets, _ in found.values()) >= 20 * 2
    assert counted(8081) == {}


def test_rules_are_as_many_for_many_ports(node: Node) -> None:
    """What is counted lies in sets."""
    node.publish(node.container(2), 2, mapping(8080), counters=True)
    before = rules()
    many = [mapping(9000 + number) for number in range(100)]
    node.publish(node.container(3), 3, *many, counters=True)
    assert rules() == before


def table() -> list[str]:
    """Return the table, line by line, without what has been counted."""
    return run("nft", "-s", "list", *TABLE).splitlines()


def test_the_last_one_takes_the_counters_along(node: Node) -> None:
    """Others stay as they are; the rules are there again with the next one."""
    space, other = node.container(2), node.container(3)
    node.publish(other, 3, mapping(8081))
    before = table()
    for _ in range(2):
        node.publish(space, 2, mapping(8080), counters=True)
        assert "chain received" in "".join(table())
        delete(node, space)
        assert table() == before


def delete(node: Node, space: Space) -> None:
    """Call DEL for the container at .2."""
    conf, options = request(space, 2)
    node.cni.ok("portmap", "DEL", conf, **options)


def test_switched_on_and_off(node: Node) -> None:
    """Another ADD with another wish counts, and counts no more; CHECK says the same."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080))
    before = table()
    node.publish(space, 2, mapping(8080), counters=True)
    conf, options = request(space, 2, mapping(8080), counters=True)
    node.cni.ok("portmap", "CHECK", conf, **options)
    run("nft", "flush", "set", *TABLE[1:], "sent4")
    said = node.cni.refused("portmap", "CHECK", conf, **options)
    assert "element tcp . 8080 . 10.1.0.2 of sent4" in json.dumps(said)
    node.publish(space, 2, mapping(8080), counters=True)
    node.cni.ok("portmap", "CHECK", conf, **options)
    node.publish(space, 2, mapping(8080))
    assert table() == before


def test_counters_of_lost_records(node: Node) -> None:
    """They are read back from the elements: DEL leaves nothing, and others count on."""
    space, other = node.container(2), node.container(3)
    node.publish(other, 3, mapping(8081), counters=True)
    before = table()
    node.publish(space, 2, mapping(8080), counters=True)
    shutil.rmtree("/run/cni")
    delete(node, space)
    assert table() == before
    claims: Any = json.loads(run("cat", "/run/cni/cnipy/portmap-claims/tcp-8081"))
    assert claims[0]["counters"] is True
