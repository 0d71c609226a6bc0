# SPDX-License-Identifier: Apache-2.0
"""portmap: what is refused, what is understood, and what is left out."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.portmap.helpers import (
    NODE,
    TABLE,
    Node,
    ask_from,
    elements,
    left,
    mapping,
    request,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


BAD = (
    ({"runtimeConfig": {"portMappings": [mapping(0)]}}, 7),
    ({"runtimeConfig": {"portMappings": [mapping(65536)]}}, 7),
    ({"runtimeConfig": {"portMappings": [mapping(80, -1)]}}, 7),
    ({"runtimeConfig": {"portMappings": [mapping(80, protocol="icmp")]}}, 7),
    ({"runtimeConfig": {"portMappings": [mapping(80, hostIP="junk")]}}, 7),
    ({"runtimeConfig": {"portMappings": [mapping(80, hostIP="10.1.0.0/24")]}}, 7),
    ({"runtimeConfig": {"portMappings": {"hostPort": 80}}}, 7),
    ({"runtimeConfig": {"portMappings": [mapping(80, 1), mapping(80, 2)]}}, 7),
    (
        {"runtimeConfig": {"portMappings": [mapping(80), mapping(80, 2, hostIP="::")]}},
        7,
    ),
    ({"backend": "ipvs"}, 7),
    ({"markMasqBit": 32}, 7),
    ({"externalSetMarkChain": "KUBE-MARK-MASQ", "markMasqBit": 1}, 7),
    ({"prevResult": None}, 7),
    ({"snat": "yes"}, 7),
)


@pytest.mark.parametrize(("keys", "code"), BAD)
def test_bad_configuration_changes_nothing(
    node: Node, keys: dict[str, Any], code: int
) -> None:
    """A wrong key or mapping gets its code, and the host stays as it is."""
    conf, options = request(node.container(2), 2, mapping(8080))
    error = node.cni.refused("portmap", "ADD", conf | keys, **options)
    assert error["code"] == code
    assert nft_objects("ruleset") == []
    assert left() == []


def test_runtime_spellings_are_understood(node: Node) -> None:
    """containerd's capitals, an empty hostIP and a missing protocol are understood."""
    capitals = {"HostPort": 8080, "ContainerPort": 80, "Protocol": "TCP", "HostIP": ""}
    bare = {"hostPort": 8081, "containerPort": 81}
    conf, options = request(
        node.container(2), 2, capitals, bare, bare, backend="iptables", markMasqBit=31
    )
    node.cni.ok("portmap", "ADD", conf, **options)
    assert elements("hostports4") == {
        "tcp . 8080": "10.1.0.2 . 80",
        "tcp . 8081": "10.1.0.2 . 81",
    }


@pytest.mark.parametrize(
    ("key", "value"), (("externalSetMarkChain", "KUBE-MARK-MASQ"), ("markMasqBit", 13))
)
def test_marks_of_iptables_are_accepted(
    node: Node, tmp_path: Path, key: str, value: object
) -> None:
    """What says how to mark packets publishes as without, and the log says so."""
    log = tmp_path / "log"
    keys = {key: value, "logFile": str(log)}
    conf, options = request(node.container(2), 2, mapping(8080), **keys)
    for verb in ("STATUS", "ADD", "CHECK"):
        node.cni.ok("portmap", verb, conf, **options)
    assert elements("hostports4") == {"tcp . 8080": "10.1.0.2 . 80"}
    said = f"{key} has no effect: nothing is marked"
    assert log.read_text().count(said) == 1
    node.cni.ok("portmap", "DEL", conf, **options)
    assert left() == []


def test_missing_family_is_left_out(node: Node) -> None:
    """A host IP of a family that the container has not publishes nothing."""
    space = node.container(2)
    conf, options = request(space, 2, mapping(8080, hostIP="::"), families=(4,))
    node.cni.ok("portmap", "ADD", conf, **options)
    assert nft_objects(*TABLE) == []
    node.publish(space, 2, mapping(8080), families=(4,))
    assert elements("hostports6") == {}


def test_address_without_route_is_published(node: Node) -> None:
    """Without a route the port is held, waits for one, and masquerades nobody."""
    run("ip", "addr", "del", "10.1.0.1/24", "dev", "br0")
    space = node.container(2)
    conf, options = request(space, 2, mapping(8080), families=(4,))
    node.cni.ok("portmap", "ADD", conf, **options)
    node.cni.ok("portmap", "CHECK", conf, **options)
    assert elements("hostports4") == {"tcp . 8080": "10.1.0.2 . 80"}
    assert elements("hairpin4") == elements("localhost4") == {}
    node.cni.ok("portmap", "DEL", conf, **options)
    assert left() == []


@pytest.mark.parametrize("index", (None, -1, 3, 9))
def test_index_that_names_no_interface_counts_as_absent(
    node: Node, index: int | None
) -> None:
    """An address whose interface is not in the list is the container's."""
    conf, options = request(node.container(2), 2, mapping(8080), families=(4,))
    conf["prevResult"]["ips"][0]["interface"] = index
    node.cni.ok("portmap", "ADD", conf, **options)
    node.cni.ok("portmap", "CHECK", conf, **options)
    assert elements("hostports4") == {"tcp . 8080": "10.1.0.2 . 80"}


@pytest.mark.parametrize("keys", ({"name": "br0"}, {"sandbox": ""}, {"name": "eth1"}))
def test_addresses_of_others_are_not_targets(node: Node, keys: dict[str, Any]) -> None:
    """An address of another link than the container's own is not published to."""
    conf, options = request(node.container(2), 2, mapping(8080))
    conf["prevResult"]["interfaces"][0] |= keys
    node.cni.ok("portmap", "ADD", conf, **options)
    assert nft_objects(*TABLE) == []


def test_no_address_publishes_nothing(node: Node) -> None:
    """Without any address of the container ADD succeeds, and says so on stderr."""
    conf, options = request(node.container(2), 2, mapping(8080))
    conf["prevResult"]["ips"] = []
    answer = node.cni("portmap", "ADD", conf, **options)
    assert (answer.status, answer.stderr) == (
        0,
        "portmap: tcp port 8080 is not published: container has not an address\n",
    )
    assert nft_objects(*TABLE) == []


USELESS = (
    ("127.0.0.1/8",),
    ("127.9.9.9/8", "::1/128"),
    ("169.254.7.7/16",),
    ("224.0.0.1/4",),
    ("255.255.255.255/32",),
    ("0.0.0.0/0",),
    ("fe80::7/64",),
    ("ff02::1/128",),
    ("::/0",),
    (f"{NODE}/24",),
    ("10.1.0.1/24", "fd01::1/64"),
)


@pytest.mark.parametrize("addresses", USELESS)
def test_what_nobody_else_reaches_is_no_target(
    node: Node, addresses: tuple[str, ...]
) -> None:
    """Loopback, link-local, multicast and the host's own addresses are refused."""
    conf, options = request(node.container(2), 2, mapping(8080))
    conf["prevResult"]["ips"] = [{"address": a, "interface": 0} for a in addresses]
    error = node.cni.refused("portmap", "ADD", conf, **options)
    listed = ", ".join(address.partition("/")[0] for address in addresses)
    msg = f"publish ports at {listed}: no address that others can reach"
    assert (error["code"], error["msg"]) == (7, msg)
    assert "bridge" in error["details"]
    assert nft_objects("ruleset") == []
    conf["runtimeConfig"] = {}
    for verb in ("ADD", "CHECK", "DEL"):
        node.cni.ok("portmap", verb, conf, **options)


def test_useless_address_is_passed_over(node: Node) -> None:
    """Where the first address of a family is no target, the next one is."""
    conf, options = request(node.container(2), 2, mapping(8080))
    useless = [{"address": a, "interface": 0} for a in ("fe80::7/64", "127.0.0.1/8")]
    conf["prevResult"]["ips"][:0] = useless
    node.cni.ok("portmap", "ADD", conf, **options)
    assert elements("hostports4") == {"tcp . 8080": "10.1.0.2 . 80"}
    assert elements("hostports6") == {"tcp . 8080": "fd01::2 . 80"}


def test_loopback_of_the_host_is_not_reached(node: Node) -> None:
    """A list that gives the container 127.0.0.1 opens no service of the host."""
    other = node.container(3)
    node.publish(other, 3, mapping(8081))
    conf, options = request(node.container(2), 2, mapping(8080, 9999))
    conf["prevResult"]["ips"] = [{"address": "127.0.0.1/8", "interface": 0}]
    with socket.create_server(("127.0.0.1", 9999)) as private:
        private.settimeout(0.1)
        node.cni("portmap", "ADD", conf, **options)
        ask_from(other, NODE, 8080)
        with pytest.raises(TimeoutError):
            private.accept()
