# SPDX-License-Identifier: Apache-2.0
"""bridge: a promiscuous bridge and br_netfilter give a container nothing twice."""

from __future__ import annotations

import os
import shutil
import socket
from typing import TYPE_CHECKING, Any

import pytest
from lab import PATIENCE, nft_objects, run
from netns.bridge.helpers import DUAL, conf
from netns.portmap.helpers import NODE, NODE6, Node, filter_bridged

from cni_common import state

if TYPE_CHECKING:
    from lab import Cni, Host, Space

TABLE = ("table", "bridge", "cnipy_duplicates")
WANTED = conf(promiscMode=True, ipMasq=True, ipam=DUAL, bridge="cni0")
PORTS = [{"hostPort": 5353, "containerPort": 53, "protocol": "udp"}]


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node that filters what its bridges carry."""
    node = Node(host, cni)
    filter_bridged("1")
    return node


def attach(node: Node, name: str, *ports: dict[str, Any], **keys: Any) -> Space:
    """Return a container on the promiscuous bridge that publishes ports."""
    space = node.host.space()
    with space.entered():
        run("ip", "link", "set", "lo", "up")
    options = {"netns": space, "container_id": name}
    result = node.cni.ok("bridge", "ADD", {**WANTED, **keys}, **options)
    published = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "portmap",
        "prevResult": result,
        "runtimeConfig": {"portMappings": list(ports)},
        "snat": keys.get("snat", True),
    }
    node.cni.ok("portmap", "ADD", published, **options)
    return space


def heard(server: Space, client: Space, at: str) -> list[bytes]:
    """Return what a server hears when a client sends three datagrams to 5353."""
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    with server.entered():
        listener = socket.socket(family, socket.SOCK_DGRAM)
    with client.entered():
        sender = socket.socket(family, socket.SOCK_DGRAM)
    with listener, sender:
        listener.bind(("::" if ":" in at else "0.0.0.0", 53))
        for number in range(3):
            sender.sendto(b"%d" % number, (at, 5353))
        found: list[bytes] = []
        try:
            while True:
                # Those that must come have time; a fourth may not come.
                listener.settimeout(PATIENCE if len(found) < 3 else 0.5)
                found.append(listener.recv(100))
        except TimeoutError:
            return found


@pytest.mark.parametrize("at", (NODE, NODE6))
@pytest.mark.parametrize("snat", (True, False))
def test_datagram_of_a_neighbour_arrives_once(
    node: Node, at: str, *, snat: bool
) -> None:
    """What a neighbour sends to a published port is received once."""
    server, client = attach(node, "server", *PORTS, snat=snat), attach(node, "client")
    assert heard(server, client, at) == [b"0", b"1", b"2"]


def test_container_reaches_itself(node: Node) -> None:
    """What it sends to its own published port comes back once, by the copy alone."""
    server = attach(node, "server", *PORTS)
    assert heard(server, server, NODE6) == [b"0", b"1", b"2"]


def test_datagram_from_elsewhere_arrives_once(node: Node) -> None:
    """Clients outside, and on another bridge, are served as before."""
    server = attach(node, "server", *PORTS)
    for client in (node.outside, node.container(2)):
        assert heard(server, client, NODE) == [b"0", b"1", b"2"]


def test_containers_reach_the_host_and_each_other(node: Node) -> None:
    """The rule takes nothing from what is for the host or for a neighbour."""
    one, two = attach(node, "one"), attach(node, "two")
    (address,) = (
        a["local"] for a in two.ip("-4", "addr", "show", "eth0")[0]["addr_info"]
    )
    assert one.reaches("10.1.2.1")
    assert one.reaches(address)
    assert one.reaches("198.51.100.2")


def containers() -> set[str]:
    """Return the MACs that the rule knows."""
    objects = nft_objects("set", *TABLE[1:], "containers")
    listed = [e for item in objects for e in item.get("set", {}).get("elem", [])]
    return {e["elem"]["val"] if isinstance(e, dict) else e for e in listed}


def mac_of(space: Space) -> str:
    """Return the MAC of the container's end."""
    return str(space.ip("link", "show", "eth0")[0]["address"])


def test_rule_goes_with_the_last_container(node: Node) -> None:
    """DEL takes the container from the set, and the last one the table."""
    spaces = {name: attach(node, name) for name in ("one", "two")}
    assert containers() == {mac_of(space) for space in spaces.values()}
    node.cni.ok("bridge", "DEL", WANTED, netns=spaces["one"], container_id="one")
    assert containers() == {mac_of(spaces["two"])}
    node.cni.ok("bridge", "DEL", WANTED, netns=spaces["two"], container_id="two")
    assert nft_objects(*TABLE) == []
    assert not os.path.exists(f"{state.ROOT}/duplicates")


def test_flushed_rule_is_missed_and_comes_back(node: Node) -> None:
    """CHECK fails without the rule, and the next ADD brings it back for everybody."""
    one = node.host.space()
    options = {"netns": one, "container_id": "one"}
    result = node.cni.ok("bridge", "ADD", WANTED, **options)
    checked = {**WANTED, "prevResult": result}
    node.cni.ok("bridge", "CHECK", checked, **options)
    run("nft", "flush", "chain", *TABLE[1:], "input")
    error = node.cni.refused("bridge", "CHECK", checked, **options)
    assert error["msg"].startswith(f"check copies for {mac_of(one)}: ")
    two = attach(node, "two")
    node.cni.ok("bridge", "CHECK", checked, **options)
    assert containers() == {mac_of(one), mac_of(two)}


@pytest.mark.parametrize(
    ("filtered", "keys"), (("0", {}), ("1", {"promiscMode": False}))
)
def test_others_have_no_rule(node: Node, filtered: str, keys: dict[str, Any]) -> None:
    """Without br_netfilter, or on another bridge, there is no table."""
    filter_bridged(filtered)
    attach(node, "one", **keys)
    assert nft_objects(*TABLE) == []


SECOND = "02:00:00:00:00:12"


def tuned(node: Node, space: Space, name: str, verb: str, **keys: Any) -> None:
    """Call tuning for a container of the bridge."""
    end = {"name": "eth0", "sandbox": space.path, "mac": mac_of(space)}
    plugin = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "tuning",
        "prevResult": {"cniVersion": "1.1.0", "interfaces": [end]},
    }
    node.cni.ok("tuning", verb, {**plugin, **keys}, netns=space, container_id=name)


def test_rule_follows_the_mac_that_tuning_gives(node: Node) -> None:
    """Behind tuning with another MAC datagrams arrive once, too; DEL leaves nothing."""
    server, client = attach(node, "server", *PORTS), attach(node, "client")
    first = mac_of(server)
    tuned(node, server, "server", "ADD", mac=SECOND)
    assert containers() == {SECOND, mac_of(client)}
    assert heard(server, client, NODE6) == [b"0", b"1", b"2"]
    tuned(node, server, "server", "DEL")
    assert containers() == {first, mac_of(client)}
    tuned(node, server, "server", "ADD", mac=SECOND)
    for name in ("server", "client"):
        node.cni.ok("bridge", "DEL", WANTED, container_id=name)
    assert nft_objects(*TABLE) == []
    assert not os.path.exists(f"{state.ROOT}/duplicates")


@pytest.mark.parametrize("verb", ("DEL", "GC"))
def test_rule_outlives_the_records(node: Node, verb: str) -> None:
    """With the records lost, those who leave are forgotten, and those who stay not."""
    spaces = {name: attach(node, name) for name in ("one", "two", "three")}
    macs = {name: mac_of(space) for name, space in spaces.items()}
    shutil.rmtree(state.ROOT)
    kept = [{"containerID": name, "ifname": "eth0"} for name in ("two", "three")]
    more = {"cni.dev/valid-attachments": kept} if verb == "GC" else {}
    call = {"netns": spaces["one"], "container_id": "one"}
    node.cni.ok("bridge", verb, WANTED | more, **call)
    assert containers() == {macs["two"], macs["three"]}
    run("nft", "flush", "chain", *TABLE[1:], "input")
    attach(node, "four")
    assert {macs["two"], macs["three"]} < containers()
    assert any("rule" in item for item in nft_objects(*TABLE))
    for name in ("four", "three", "two"):
        assert nft_objects(*TABLE) != []
        options = {"netns": spaces.get(name, ""), "container_id": name}
        node.cni.ok("bridge", "DEL", WANTED, **options)
    assert nft_objects(*TABLE) == []
