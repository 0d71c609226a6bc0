# SPDX-License-Identifier: Apache-2.0
"""portmap: what listens on 127.0.0.1 of the host stays the host's own."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from lab import ip, run
from netns.portmap.helpers import (
    Node,
    ask,
    ask_from,
    filter_bridged,
    left,
    mapping,
    request,
    route_localnet,
    serving,
    set_parameter,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host, Space

PRIVATE = 9999
FLUSHED = ("nft", "flush", "ruleset")
UNFILTERED = ("tc", "qdisc", "del", "dev", "br0", "clsact")
UNGUARDED = (FLUSHED, UNFILTERED)
LOSSES = [(), (FLUSHED,), (UNFILTERED,), UNGUARDED]
PRIORITY, Q = b"\x81\x00\x00\x00", b"\x88\xa8\x00\x00"  # VLAN 0 of 802.1Q, of 802.1ad


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


@pytest.fixture
def web(node: Node) -> Space:
    """A container at 10.1.0.2 with a published port."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080))
    return space


@pytest.fixture
def private() -> Iterator[list[str]]:
    """A UDP service on the host's 127.0.0.1; the list holds what it received."""
    heard: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("127.0.0.1", PRIVATE))

        def listen() -> None:
            with suppress(OSError):
                while True:
                    text, peer = service.recvfrom(100)
                    heard.append(text.decode())
                    service.sendto(b"secret", peer)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield heard
        service.sendto(b"end", ("127.0.0.1", PRIVATE))
        with suppress(OSError):
            service.shutdown(socket.SHUT_RDWR)
    thread.join(3)


def datagram(source: str, target: str, port: int, text: bytes) -> bytes:
    """Return an IPv4 packet with a UDP datagram in it, without a checksum of UDP."""
    udp = struct.pack("!HHHH", 7777, port, 8 + len(text), 0) + text
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    size = 20 + len(udp)
    head = struct.pack("!BBHHHBBH", 0x45, 0, size, 0, 0, 64, socket.IPPROTO_UDP, 0)
    total = sum(struct.unpack("!10H", head + ends))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:-2] + struct.pack("!H", total ^ 0xFFFF) + ends + udp


def shown(what: str, *where: str) -> str:
    """Return what tc shows of br0."""
    return run("tc", what, "show", "dev", "br0", *where)


def aim_at_loopback(space: Space, link: str, via: str, source: str) -> None:
    """Have `space` send what is for the host's 127.0.0.1 out of `link` to the host."""
    (host_end,) = [
        item["lladdr"]
        for item in space.ip("neigh", "show", via)
        if item.get("dev") == link
    ]
    run("ip", "-n", space.name, "addr", "del", "127.0.0.1/8", "dev", "lo")
    table = ("table", "local", "local", "127.0.0.0/8", "dev", "lo")
    run("ip", "-n", space.name, "route", "del", *table, check=False)
    with space.entered():
        for where in ("all", link):
            set_parameter(f"ipv4/conf/{where}/route_localnet", "1")
    run(
        "ip",
        "-n",
        space.name,
        "route",
        "add",
        "127.0.0.1/32",
        "dev",
        link,
        "src",
        source,
    )
    neigh = ("neigh", "replace", "127.0.0.1", "lladdr", host_end, "dev", link)
    run("ip", "-n", space.name, *neigh)


@pytest.mark.usefixtures("web")
def test_route_localnet_is_on_for_the_bridge_alone() -> None:
    """ADD turns route_localnet on for the link towards the container, no other."""
    assert [route_localnet(link) for link in ("br0", "eth0")] == ["1", "0"]


@pytest.mark.parametrize("filtered", ["0", "1"])
@pytest.mark.parametrize("lost", LOSSES)
def test_container_cannot_reach_private_services(
    web: Space, private: list[str], lost: tuple[tuple[str, ...], ...], filtered: str
) -> None:
    """A container that aims at 127.0.0.1 is dropped, by a flushed ruleset as well.

    Without the filter and without the guard chain it would not be; br_netfilter, which
    lets answers be translated before the filter, changes nothing of it.
    """
    filter_bridged(filtered)
    assert web.reaches("10.1.0.1")
    aim_at_loopback(web, "eth0", "10.1.0.1", "10.1.0.2")
    for command in lost:
        run(*command)
    answer = ask_from(web, "127.0.0.1", PRIVATE, udp=True)
    assert private == ([] if lost != UNGUARDED else ["who?"])
    assert answer == ("" if lost != UNGUARDED else "secret")


@pytest.mark.parametrize("lost", [(FLUSHED,), UNGUARDED])
@pytest.mark.parametrize("tags", [(), (PRIORITY,), (PRIORITY, PRIORITY), (Q, PRIORITY)])
def test_tags_hide_nothing_from_the_filter(
    web: Space,
    private: list[str],
    tags: tuple[bytes, ...],
    lost: tuple[tuple[str, ...], ...],
) -> None:
    """Frames in VLAN 0, which the kernel takes as if without one, do not pass it."""
    assert any(web.reaches("10.1.0.1") for _ in range(5))  # a busy machine needs more
    for command in lost:
        run(*command)
    (bridge,) = ip("link", "show", "br0")
    to = bytes.fromhex(bridge["address"].replace(":", ""))
    content = datagram("10.1.0.2", "127.0.0.1", PRIVATE, b"who?")
    frame = to + bytes.fromhex("020000000001") + b"".join(tags) + b"\x08\x00" + content
    with web.entered():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with sender:
        sender.bind(("eth0", 0))
        sender.send(frame)
    time.sleep(0.2)
    assert private == ([] if lost != UNGUARDED else ["who?"])


def test_forged_loopback_source_is_dropped(web: Space, private: list[str]) -> None:
    """A packet that says it comes from 127.0.0.1 is dropped at the bridge."""
    assert web.reaches("10.1.0.1")
    run("ip", "-n", web.name, "addr", "replace", "127.0.0.1/32", "dev", "eth0")
    with web.entered():
        for where in ("all", "eth0"):
            set_parameter(f"ipv4/conf/{where}/route_localnet", "1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("10.1.0.1", 7777))
        service.settimeout(0.5)
        ask_from(web, "10.1.0.1", 7777, udp=True, source=("127.0.0.1", 0))
        with pytest.raises(TimeoutError):
            service.recv(100)
    assert private == []


def test_host_still_reaches_its_own_services(web: Space, private: list[str]) -> None:
    """The host itself reaches its 127.0.0.1 as before, and the port by 127.0.0.1."""
    assert ask("127.0.0.1", PRIVATE, udp=True) == "secret"
    with serving(web, "web"):
        assert ask("127.0.0.1", 8080) == "web 10.1.0.1"
    assert private == ["who?"]


def test_route_localnet_goes_with_the_last_user(node: Node, web: Space) -> None:
    """route_localnet stays while one container needs it, and is off after the last."""
    other = node.container(3)
    node.publish(other, 3, mapping(8081))
    seen = []
    for space, number in ((web, 2), (other, 3)):
        conf, options = request(space, number)
        node.cni.ok("portmap", "DEL", conf, **options)
        seen.append(route_localnet("br0"))
    assert seen == ["1", "0"]


def test_route_localnet_of_the_administrator_stays(node: Node) -> None:
    """A link that had route_localnet before the first ADD has it after the last DEL."""
    set_parameter("ipv4/conf/br0/route_localnet", "1")
    space = node.container(2)
    node.publish(space, 2, mapping(8080))
    conf, options = request(space, 2)
    node.cni.ok("portmap", "DEL", conf, **options)
    assert route_localnet("br0") == "1"


def test_filter_goes_with_the_last_user(node: Node, web: Space) -> None:
    """The filter and the discipline that holds it go with the last published port."""
    other = node.container(3)
    node.publish(other, 3, mapping(8081))
    for space, number in ((web, 2), (other, 3)):
        assert "bpf" in shown("filter", "ingress")
        conf, options = request(space, number)
        node.cni.ok("portmap", "DEL", conf, **options)
    assert "clsact" not in shown("qdisc")
    assert left() == []


@pytest.mark.parametrize("kind", ["ingress", "clsact"])
def test_discipline_of_somebody_else_is_shared(node: Node, kind: str) -> None:
    """The filter goes into a discipline that is there, and leaves it as it was."""
    run("tc", "qdisc", "add", "dev", "br0", kind)
    u32 = ("u32", "match", "ip", "dst", "192.0.2.1/32", "flowid", ":1")
    run(
        "tc",
        "filter",
        "add",
        "dev",
        "br0",
        "ingress",
        "pref",
        "5",
        "protocol",
        "ip",
        *u32,
    )
    before = shown("qdisc"), shown("filter", "ingress")
    space = node.container(2)
    node.publish(space, 2, mapping(8080))
    assert "bpf" in shown("filter", "ingress")
    conf, options = request(space, 2)
    node.cni.ok("portmap", "DEL", conf, **options)
    assert (shown("qdisc"), shown("filter", "ingress")) == before


def test_discipline_that_others_use_by_now_stays(node: Node, web: Space) -> None:
    """What portmap made stays when somebody else has put a filter into it."""
    u32 = ("u32", "match", "ip", "dst", "192.0.2.1/32", "flowid", ":1")
    run("tc", "filter", "add", "dev", "br0", "egress", "protocol", "ip", *u32)
    conf, options = request(web, 2)
    node.cni.ok("portmap", "DEL", conf, **options)
    assert "bpf" not in shown("filter", "ingress")
    assert "u32" in shown("filter", "egress")


@pytest.mark.parametrize("verb", ["ADD", "GC"])
def test_lost_filter_is_noticed_and_restored(node: Node, web: Space, verb: str) -> None:
    """CHECK fails without the filter; ADD again and GC bring it back."""
    run(*UNFILTERED)
    conf, options = request(web, 2, mapping(8080))
    error = node.cni.refused("portmap", "CHECK", conf, **options)
    assert error["msg"].endswith("missing filter of link br0 for 127.0.0.0/8")
    valid = [{"containerID": "c2", "ifname": "eth0"}]
    more = {"cni.dev/valid-attachments": valid} if verb == "GC" else {}
    node.cni.ok("portmap", verb, conf | more, **options)
    node.cni.ok("portmap", "CHECK", conf, **options)


def test_place_that_is_taken_leaves_the_guard_chain(
    node: Node, private: list[str]
) -> None:
    """Where no filter can be, ADD succeeds, and the chain keeps containers out."""
    run("tc", "qdisc", "add", "dev", "br0", "clsact")
    u32 = ("u32", "match", "ip", "dst", "192.0.2.1/32", "flowid", ":1")
    pref = ("ingress", "pref", "1", "protocol", "ip")
    run("tc", "filter", "add", "dev", "br0", *pref, *u32)
    space = node.container(2)
    node.publish(space, 2, mapping(8080))
    assert space.reaches("10.1.0.1")
    aim_at_loopback(space, "eth0", "10.1.0.1", "10.1.0.2")
    assert ask_from(space, "127.0.0.1", PRIVATE, udp=True) == ""
    assert private == []
    conf, options = request(space, 2, mapping(8080))
    node.cni.ok("portmap", "CHECK", conf, **options)
    node.cni.ok("portmap", "DEL", conf, **options)
    assert left() == []
