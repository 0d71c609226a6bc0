# SPDX-License-Identifier: Apache-2.0
"""portmap: DEL, CHECK, GC, STATUS, and ADDs that fail."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.portmap.helpers import (
    TABLE,
    Node,
    elements,
    left,
    mapping,
    request,
    route_localnet,
)

from cni_common import marks, state
from cni_common.kernel import nft, sysctl
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from lab import Cni, Host

KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


def listing() -> str:
    """Return the table as nft prints it, without the kernel's handles."""
    return run("nft", "list", *TABLE)


@pytest.mark.parametrize(
    "missing",
    (
        ("runtimeConfig",),
        ("prevResult",),
        ("runtimeConfig", "prevResult"),
        ("record",),
    ),
)
@pytest.mark.parametrize("netns", ("there", "", "/run/netns/gone"))
def test_delete_leaves_nothing(
    node: Node, missing: tuple[str, ...], netns: str
) -> None:
    """DEL removes all with one of its sources of knowledge left; again it succeeds."""
    space = node.container(2)
    conf, options = request(space, 2, mapping(8080), mapping(8080, protocol="udp"))
    node.cni.ok("portmap", "ADD", conf, **options)
    conf = {key: value for key, value in conf.items() if key not in missing}
    if "record" in missing:
        os.unlink(f"{state.ROOT}/portmap/net/c2@eth0")
    if netns != "there":
        options["netns"] = netns
    for _ in range(2):
        node.cni.ok("portmap", "DEL", conf, **options)
        assert nft_objects(*TABLE) == []
        assert route_localnet("br0") == "0"
        assert left() == []


def test_delete_of_the_unknown_succeeds(node: Node) -> None:
    """DEL of a container that was never attached succeeds and creates nothing."""
    conf, options = request(node.container(2), 2, mapping(8080))
    node.cni.ok("portmap", "DEL", conf, **options)
    assert nft_objects("ruleset") == []
    assert left() == []


def test_delete_after_flush_leaves_nothing(node: Node) -> None:
    """DEL succeeds when somebody flushed the rules before."""
    conf, options = request(node.container(2), 2, mapping(8080))
    node.cni.ok("portmap", "ADD", conf, **options)
    run("nft", "flush", "ruleset")
    node.cni.ok("portmap", "DEL", conf, **options)
    assert nft_objects(*TABLE) == []
    assert left() == []


def test_delete_after_flush_restores_the_others(node: Node) -> None:
    """DEL after a flush brings back what others published, and not its own."""
    conf, options = request(node.container(2), 2, mapping(8080))
    node.cni.ok("portmap", "ADD", conf, **options)
    node.publish(node.container(3), 3, mapping(8081))
    run("nft", "flush", "ruleset")
    node.cni.ok("portmap", "DEL", conf, **options)
    assert elements("hostports4") == {"tcp . 8081": "10.1.0.3 . 80"}


@pytest.mark.parametrize("seam", ("nft", "sysctl"))
@pytest.mark.parametrize("repeated", (False, True))
def test_failed_add_leaves_the_host_as_it_was(
    node: Node, monkeypatch: pytest.MonkeyPatch, seam: str, *, repeated: bool
) -> None:
    """An ADD that fails half-way undoes all it did, and a plain retry works."""
    space = node.container(2)
    node.publish(node.container(3), 3, mapping(8083), snat=False)
    if repeated:
        node.publish(space, 2, mapping(8081), snat=False)
    before = (listing(), left(), route_localnet("br0"))
    conf, options = request(space, 2, mapping(8082))
    with monkeypatch.context() as patch:
        _fail_once(patch, seam)
        error = node.cni.refused("portmap", "ADD", conf, **options)
    assert error["msg"] == "disk on fire"
    assert (listing(), left(), route_localnet("br0")) == before
    node.cni.ok("portmap", "ADD", conf, **options)
    assert elements("hostports4")["tcp . 8082"] == "10.1.0.2 . 80"


def _fail_once(patch: pytest.MonkeyPatch, seam: str) -> None:
    """Have the first call of a door to the kernel fail."""
    module: Any = {"nft": nft, "sysctl": sysctl}[seam]
    name = {"nft": "run", "sysctl": "set_value"}[seam]
    real = getattr(module, name)

    def fail(*_: object) -> None:
        patch.setattr(module, name, real)
        raise CNIError(999, "disk on fire")

    patch.setattr(module, name, fail)


def test_killed_change_is_finished_by_the_next_call(node: Node) -> None:
    """What a killed process wrote down but did not do is done by the next one."""
    node.publish(node.container(2), 2, mapping(8080))
    run("nft", "flush", "map", "inet", "cnipy_portmap", "hostports4")
    marks.add("portmap-changing", "change")
    node.publish(node.container(3), 3, mapping(8081))
    assert elements("hostports4") == {
        "tcp . 8080": "10.1.0.2 . 80",
        "tcp . 8081": "10.1.0.3 . 80",
    }


def test_half_written_claim_goes_with_the_last_port(node: Node) -> None:
    """What a killed process left of a claim's file does not keep the table."""
    conf, options = request(node.container(2), 2, mapping(8080))
    node.cni.ok("portmap", "ADD", conf, **options)
    with open(f"{state.ROOT}/portmap-claims/.unfinished", "w") as file:
        file.write("[{")
    node.cni.ok("portmap", "DEL", conf, **options)
    assert (nft_objects(*TABLE), left()) == ([], [])


def test_killed_add_is_undone_by_delete(node: Node) -> None:
    """However early or late ADD is killed, DEL leaves nothing of it."""
    node.publish(node.container(3), 3, mapping(8083), snat=False)
    space = node.container(2)
    conf, options = request(space, 2, *(mapping(9000 + i) for i in range(50)))
    before = listing()
    ended = 0
    for step in range(25):
        child = os.fork()
        if child == 0:
            node.cni("portmap", "ADD", conf, **options)
            os._exit(0)
        time.sleep(step * 0.001)
        os.kill(child, signal.SIGKILL)
        ended += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        node.cni.ok("portmap", "DEL", conf, **options)
        found = [path for path in left() if "/." not in path and "c3@" not in path]
        assert (listing(), route_localnet("br0")) == (before, "0")
        names = (
            "portmap-claims/tcp-8083",
            "table-samples/inet-cnipy_portmap/hostports4+hostports6/tcp-8083",
            "tables/inet-cnipy_portmap",
        )
        assert found == [f"{state.ROOT}/{name}" for name in names]
    assert ended < 25


ELEMENT = "element tcp . 8080 of hostports4"
HARM = (
    (
        ("delete", "element", "inet", "cnipy_portmap", "hostports4", "{ tcp . 8080 }"),
        ELEMENT,
    ),
    (
        ("flush", "set", "inet", "cnipy_portmap", "hairpin6"),
        'element tcp . 8080 . fd01::2 . "br0" of hairpin6',
    ),
    (
        ("flush", "chain", "inet", "cnipy_portmap", "guard"),
        "rule in chain guard: 0 of 2 there",
    ),
    (
        ("flush", "chain", "inet", "cnipy_portmap", "masquerading"),
        "rule in chain masquerading: 0 of 8 there",
    ),
    (("flush", "ruleset"), "table inet cnipy_portmap"),
    (
        (
            "flush chain inet cnipy_portmap output",
            ";delete chain inet cnipy_portmap output",
        ),
        "base chain output (nat, output, priority -100)",
    ),
    (
        (
            "delete element inet cnipy_portmap hostports4 { tcp . 8080 };",
            "add element inet cnipy_portmap hostports4 { tcp . 8080 : 10.9.9.9 . 1 }",
        ),
        f"{ELEMENT}: it leads to 10.9.9.9 . 1, not to 10.1.0.2 . 80",
    ),
)


@pytest.mark.parametrize(("harm", "missing"), HARM)
def test_check_names_what_is_missing(
    node: Node, harm: tuple[str, ...], missing: str
) -> None:
    """CHECK passes after ADD, and names the one thing that somebody removed."""
    conf, options = request(node.container(2), 2, mapping(8080))
    node.cni.ok("portmap", "ADD", conf, **options)
    node.cni.ok("portmap", "CHECK", conf, **options)
    run("nft", *harm)
    error = node.cni.refused("portmap", "CHECK", conf, **options)
    assert error["msg"] == f"check published ports: missing {missing}"


def test_check_notices_route_localnet(node: Node) -> None:
    """CHECK fails when route_localnet was turned off."""
    conf, options = request(node.container(2), 2, mapping(8080))
    node.cni.ok("portmap", "ADD", conf, **options)
    run("sysctl", "-q", "-w", "net.ipv4.conf.br0.route_localnet=0")
    error = node.cni.refused("portmap", "CHECK", conf, **options)
    assert error["msg"].endswith("sysctl net/ipv4/conf/br0/route_localnet = 1")


@pytest.mark.parametrize("keys", ({}, {"conditionsV4": ["iifname", "!=", "eth9"]}))
def test_check_covers_addresses_and_conditions(
    node: Node, keys: dict[str, Any]
) -> None:
    """CHECK passes for host addresses and conditions, and fails for an unknown port."""
    at = mapping(8081, hostIP="10.1.0.1", protocol="udp")
    conf, options = request(node.container(2), 2, mapping(8080), at, **keys)
    node.cni.ok("portmap", "ADD", conf, **options)
    node.cni.ok("portmap", "CHECK", conf, **options)
    conf["runtimeConfig"]["portMappings"].append(mapping(8082))
    error = node.cni.refused("portmap", "CHECK", conf, **options)
    assert "tcp port 8082" in error["msg"]


def test_check_without_etc_protocols(node: Node) -> None:
    """CHECK needs no name of a protocol, which a small system does not have."""
    published = [mapping(8080, protocol=name) for name in ("tcp", "udp", "sctp")]
    at = mapping(8081, hostIP="10.1.0.1", protocol="udp")
    conf, options = request(node.container(2), 2, *published, at)
    known = "/etc/protocols"
    hidden = os.path.exists(known)
    if hidden:
        run("mount", "--bind", "/dev/null", known)
    try:
        node.cni.ok("portmap", "ADD", conf, **options)
        assert re.search(r"\b6 \. 8080\b", listing())
        node.cni.ok("portmap", "CHECK", conf, **options)
        run("nft", "delete", "element", *TABLE[1:], "hostports4", "{ udp . 8080 }")
        error = node.cni.refused("portmap", "CHECK", conf, **options)
    finally:
        if hidden:
            run("umount", known)
    assert error["msg"].endswith("missing element udp . 8080 of hostports4")


@pytest.mark.parametrize("key", KEYS)
def test_gc_removes_what_is_not_valid(node: Node, key: str) -> None:
    """GC keeps the valid attachment and other networks, and removes the rest."""
    for number, network in ((2, "net"), (3, "net"), (4, "other")):
        space = node.container(number)
        node.publish(space, number, mapping(8080 + number), name=network)
    valid = [{"containerID": "c2", "ifname": "eth0"}]
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "portmap", key: valid}
    node.cni.ok("portmap", "GC", conf)
    assert sorted(elements("hostports4")) == ["tcp . 8082", "tcp . 8084"]


@pytest.mark.parametrize("listed", ([], None))
@pytest.mark.parametrize("recorded", (True, False))
def test_gc_with_an_empty_list_removes_all(
    node: Node, listed: list[Any] | None, *, recorded: bool
) -> None:
    """GC with an empty list, or null, leaves nothing, be the record there or lost."""
    node.publish(node.container(2), 2, mapping(8080))
    if not recorded:
        os.unlink(f"{state.ROOT}/portmap/net/c2@eth0")
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "portmap", KEYS[0]: listed}
    node.cni.ok("portmap", "GC", conf)
    assert nft_objects(*TABLE) == []


@pytest.mark.parametrize(("listed", "status"), (({}, 0), ("all", 1), ([7], 1)))
def test_gc_without_a_list_deletes_nothing(
    node: Node, listed: object, status: int
) -> None:
    """GC with no list, or with what is none, leaves everything."""
    node.publish(node.container(2), 2, mapping(8080))
    before = nft_objects(*TABLE)
    keys = {KEYS[0]: listed} if listed else {}
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "portmap", **keys}
    assert node.cni("portmap", "GC", conf).status == status
    assert nft_objects(*TABLE) == before


def test_status_leaves_no_trace(node: Node) -> None:
    """STATUS succeeds where rules can be written, and leaves none."""
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "portmap"}
    node.cni.ok("portmap", "STATUS", conf)
    assert nft_objects("ruleset") == []
