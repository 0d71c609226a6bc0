# SPDX-License-Identifier: Apache-2.0
"""portmap: what is refused, what is understood, and what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from published import TABLE, Node, elements, left, mapping, request

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


@pytest.mark.parametrize("ips", ([{"address": "10.1.0.2/24", "interface": 9}], []))
def test_addresses_of_others_are_not_targets(node: Node, ips: list[Any]) -> None:
    """An address of no interface of the container is not published to."""
    conf, options = request(node.container(2), 2, mapping(8080))
    conf["prevResult"]["ips"] = ips
    node.cni.ok("portmap", "ADD", conf, **options)
    assert nft_objects(*TABLE) == []
