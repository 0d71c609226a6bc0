# SPDX-License-Identifier: Apache-2.0
"""bridge: frames and packets between containers, the host and forgers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from lab import PATIENCE, reaches, run
from netns.bridge.helpers import DUAL, addresses, conf, held, host_end, layer2

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def test_containers_reach_each_other_and_the_host(cni: Cni, host: Host) -> None:
    """Two containers and the host reach each other at once, IPv4 and IPv6."""
    one, two = host.space(), host.space()
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=one, container_id="one")
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=two, container_id="two")
    assert one.reaches("10.1.2.3")
    assert any(one.reaches("fd00:1::3") for _ in range(5))  # a busy machine needs more
    assert reaches("10.1.2.2")
    assert reaches("fd00:1::2")


def test_isolated_ports_reach_the_gateway_only(cni: Cni, host: Host) -> None:
    """With portIsolation two containers reach the host, and not each other."""
    one, two = host.space(), host.space()
    for name, space in (("one", one), ("two", two)):
        wanted = conf(portIsolation=True)
        cni.ok("bridge", "ADD", wanted, netns=space, container_id=name)
    assert one.reaches("10.1.2.1")
    assert not one.reaches("10.1.2.3")


def test_layer2_carries_frames(cni: Cni, host: Host) -> None:
    """Without ipam the ends are up, have no address, and reach each other's frames."""
    one, two = host.space(), host.space()
    for name, space, address in (("one", one, "2"), ("two", two, "3")):
        result = cni.ok("bridge", "ADD", layer2(), netns=space, container_id=name)
        assert "ips" not in result
        assert held(space) == []
        space.run("ip", "addr", "add", f"10.5.5.{address}/24", "dev", "eth0")
    assert one.reaches("10.5.5.3")
    assert addresses("br0") == []


def test_bridge_with_stp_is_no_obstacle(cni: Cni, container: Space) -> None:
    """A port of a bridge with STP listens for half a minute: ADD does not wait."""
    run("ip", "link", "add", "br0", "type", "bridge", "stp_state", "1")
    result = cni.ok("bridge", "ADD", conf(), netns=container)
    state = host_end(result)["linkinfo"]["info_slave_data"]["state"]
    assert state in {"listening", "learning"}


def test_neighbours_learn_who_has_an_address_now(cni: Cni, host: Host) -> None:
    """An address that changes hands is reached at once, in spite of ARP caches."""
    neighbour, old, new = host.space(), host.space(), host.space()
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00:1::/64"}]],
    }
    fixed = conf(ipam=ipam, runtimeConfig={"ips": ["10.1.2.9", "fd00:1::9"]})
    cni.ok("bridge", "ADD", conf(ipam=ipam), netns=neighbour, container_id="n")
    cni.ok("bridge", "ADD", fixed, netns=old, container_id="old")
    for address in ("10.1.2.9", "fd00:1::9"):
        assert neighbour.reaches(address)
        assert reaches(address)
    cni.ok("bridge", "DEL", fixed, netns=old, container_id="old")
    cni.ok("bridge", "ADD", fixed, netns=new, container_id="new")
    for address in ("10.1.2.9", "fd00:1::9"):
        assert neighbour.reaches(address)
        assert reaches(address)


def forged(space: Space, source: str, target: str) -> bool:
    """Send a frame from the MAC `source` and tell whether `target` on the host
    has seen it.
    """
    frame = bytes.fromhex("ff" * 6 + source.replace(":", "") + "88b5") + b"forged" * 9
    kind = socket.ntohs(0x88B5)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, kind) as listener:
        listener.bind((target, 0x88B5))
        listener.settimeout(0.5 * PATIENCE)
        with space.entered():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with sender:
            sender.bind(("eth0", 0))
            sender.send(frame)
        try:
            return b"forged" in listener.recv(2000)
        except TimeoutError:
            return False


def test_forged_frames_are_dropped(cni: Cni, host: Host) -> None:
    """With macspoofchk a frame from another MAC does not pass the port, own ones do."""
    one, two = host.space(), host.space()
    wanted = layer2(macspoofchk=True)
    first = cni.ok("bridge", "ADD", wanted, netns=one, container_id="one")
    other = cni.ok("bridge", "ADD", layer2(), netns=two, container_id="two")
    target = "br0"
    own, foreign = (r["interfaces"][2]["mac"] for r in (first, other))
    assert forged(one, own, target)
    assert not forged(one, foreign, target)
    assert not forged(one, "02:00:00:00:00:99", target)
    assert forged(two, "02:00:00:00:00:99", target)


def test_duplicate_address_is_noticed(cni: Cni, host: Host) -> None:
    """With enabledad an IPv6 address that somebody else has makes ADD fail."""
    twin, container = host.space(), host.space()
    cni.ok("bridge", "ADD", layer2(), netns=twin, container_id="twin")
    twin.run("ip", "addr", "add", "fd00:1::2/64", "dev", "eth0", "nodad")
    ipam = {"type": "host-local", "ranges": [[{"subnet": "fd00:1::/64"}]]}
    wanted = conf(enabledad=True, ipam=ipam)
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["msg"] == "use address fd00:1::2/64: another host has it"
    assert [link["ifname"] for link in container.ip("link", "show")] == ["lo"]


def test_duplicate_detection_ends_before_add_does(cni: Cni, container: Space) -> None:
    """With enabledad and no duplicate the addresses are usable on return."""
    cni.ok("bridge", "ADD", conf(enabledad=True, ipam=DUAL), netns=container)
    assert held(container) == ["10.1.2.2/24", "fd00:1::2/64"]
    read = container.run("sysctl", "-n", "net.ipv6.conf.eth0.accept_dad")
    assert read.strip() == "1"
