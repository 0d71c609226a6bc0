# SPDX-License-Identifier: Apache-2.0
"""firewall on a host that begins to drop when containers are there already."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.firewall.helpers import (
    INET,
    Guarded,
    drop_forwarded,
    left,
    members,
    needs_variant,
    request,
    saved,
    touched,
)

from cni_common import attachments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab import Cni, Host, Space

VARIANTS = ("nft", "legacy")
SAME = {"ingressPolicy": "same-bridge"}
OUTSIDE = ("198.51.100.2", "2001:db8:99::2")


@pytest.fixture
def node(host: Host, cni: Cni) -> Guarded:
    """A node with two bridges, whose own rules drop nothing yet."""
    for variant in VARIANTS:
        needs_variant(variant)
    return Guarded(host, cni)


def passes(space: Space, address: str) -> bool:
    """Tell whether an echo request gets through; a busy machine may need another."""
    return any(space.reaches(address) for _ in range(5))


def again(node: Guarded, space: Space) -> None:
    """Repeat the ADD of the container itself."""
    node.ok("ADD", space, 2)


def another(node: Guarded, space: Space) -> None:
    """Attach another container, of another network and with another backend."""
    del space
    node.ok("ADD", node.neighbour(7), 7, bridge="br1", backend="nftables")


def collection(node: Guarded, space: Space) -> None:
    """Call GC for another network, all of whose attachments are valid."""
    del space
    conf = {"cniVersion": "1.1.0", "name": "third", "type": "firewall"}
    node.cni.ok("firewall", "GC", {**conf, "cni.dev/valid-attachments": []})


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mend", [again, another, collection])
def test_traffic_passes_again(
    node: Guarded, variant: str, mend: Callable[[Guarded, Space], None]
) -> None:
    """CHECK says what is missing, and the next ADD of anybody or GC puts it there."""
    space = node.container(2)
    node.ok("ADD", space, 2)
    node.ok("CHECK", space, 2)
    drop_forwarded(variant)
    before = saved(variant)
    assert not any(space.reaches(address) for address in OUTSIDE)
    error = node.refused("CHECK", space, 2)
    assert (error["code"], error["msg"]) == (
        999,
        (
            f"check firewall: missing rules in filter table {variant}4:"
            f" by now FORWARD of iptables-{variant} drops"
        ),
    )
    assert "next ADD of any container" in error["details"]
    mend(node, space)
    assert all(passes(space, address) for address in OUTSIDE)
    node.ok("CHECK", space, 2)
    node.ok("DEL", space, 2)
    node.ok("DEL", "", 7, bridge="br1")
    assert (saved(variant), nft_objects("table", *INET), left()) == (before, [], [])


@pytest.mark.parametrize("variant", VARIANTS)
def test_networks_stay_apart(node: Guarded, variant: str) -> None:
    """What was kept apart by nftables is kept apart by iptables, and between them."""
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2, ingressPolicy="isolated")
    node.ok("ADD", other, 2, bridge="br1", **SAME)
    run("nft", "add rule inet cnipy_firewall admin ip daddr 192.0.2.1 drop")
    drop_forwarded(variant)
    node.ok("ADD", node.container(3), 3)
    for space in (one, other):
        assert all(passes(space, address) for address in OUTSIDE)
    assert not other.reaches("10.1.0.2")
    assert not one.reaches("10.2.0.2")
    assert not one.reaches("fd02::2")
    assert members("guarded") == members("within") == members("isolated") == []
    assert members("elsewhere") == ["br0", "br1"]
    assert members("containers4") == []
    for number, keys in ((2, {}), (3, {}), (2, {"bridge": "br1"})):
        node.ok("DEL", "", number, **keys)
    assert members("elsewhere") == []
    assert "ip daddr 192.0.2.1 drop" in run("nft", "list", "chain", *INET, "admin")
    assert left() == []


def test_configured_nftables_stays_where_it_is(node: Guarded) -> None:
    """Who asked for the backend nftables is not moved, and CHECK agrees."""
    space = node.container(2)
    node.ok("ADD", space, 2, backend="nftables")
    drop_forwarded()
    node.ok("ADD", node.container(3), 3)
    assert members("containers4") == ["10.1.0.2"]
    assert not any("10.1.0.2" in line for line in saved())
    node.ok("CHECK", space, 2, backend="nftables")


def test_flushed_iptables_come_back_for_all(node: Guarded) -> None:
    """After `iptables -F` the next ADD brings back the rules of every container."""
    drop_forwarded()
    spaces = {number: node.container(number) for number in (2, 3, 4)}
    for number in (2, 3):
        node.ok("ADD", spaces[number], number, **SAME)
    whole = saved()
    for command in ("iptables-nft", "ip6tables-nft"):
        run(command, "-F")
    assert not spaces[2].reaches(OUTSIDE[0])
    node.ok("ADD", spaces[4], 4, **SAME)
    assert [line for line in whole if line not in saved()] == []
    for number in (2, 3):
        assert passes(spaces[number], OUTSIDE[0])
        node.ok("CHECK", spaces[number], number, **SAME)


def test_host_that_drops_twice(node: Guarded) -> None:
    """Who was attached while the host dropped nothing gets rules the second time."""
    drop_forwarded()
    node.ok("ADD", node.container(2), 2)
    run("iptables-nft", "-P", "FORWARD", "ACCEPT")
    run("ip6tables-nft", "-P", "FORWARD", "ACCEPT")
    space = node.container(3)
    node.ok("ADD", space, 3)
    assert members("containers4") == ["10.1.0.3"]
    drop_forwarded()
    node.ok("ADD", node.container(4), 4)
    assert all(passes(space, address) for address in OUTSIDE)


def test_records_are_read_once(
    node: Guarded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a host that has dropped for long, ADD reads no other container's record."""
    log = tmp_path / "log"
    drop_forwarded()
    node.ok("ADD", node.container(2), 2)

    def unread(_: str) -> Iterator[None]:
        raise AssertionError

    monkeypatch.setattr(attachments, "of_plugin", unread)
    node.ok("ADD", node.container(3), 3, logFile=str(log))
    (event,) = json.loads(log.read_text())["events"]
    assert event["level"] == "info"


def test_what_cannot_be_brought_is_a_warning(
    node: Guarded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another container's trouble does not fail an ADD; the next one tries again."""
    log, one = tmp_path / "log", node.container(2)
    node.ok("ADD", one, 2)
    drop_forwarded()

    def unread(_: str) -> Iterator[None]:
        raise OSError(5, "input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(attachments, "of_plugin", unread)
        node.ok("ADD", node.container(3), 3, logFile=str(log))
    events = json.loads(log.read_text())["events"]
    assert [event["level"] for event in events] == ["info", "warning"]
    assert not one.reaches(OUTSIDE[0])
    node.ok("ADD", node.container(4), 4)
    assert passes(one, OUTSIDE[0])


def test_record_of_an_earlier_build(node: Guarded) -> None:
    """A record that does not say what was asked for follows the host."""
    space = node.container(2)
    node.ok("ADD", space, 2)
    record = "/run/cni/cnipy/firewall/net/c2@eth0"
    with open(record) as file:
        document = json.load(file)
    with open(record, "w") as file:
        whose = {key: document[key] for key in ("network", "containerID", "ifname")}
        nothing: dict[str, Any] = {"links": [], "ports": [], "filters": [], "zone": ""}
        made = {"addresses": ["10.1.0.2", "fd01::2"], "policy": "open"}
        json.dump({**whose, **nothing, **made, "admin_chain": "CNI-ADMIN"}, file)
    drop_forwarded()
    node.ok("ADD", node.container(3), 3)
    assert passes(space, OUTSIDE[0])


def test_check_changes_nothing(node: Guarded) -> None:
    """CHECK on a host that drops by now leaves everything as it is."""
    space = node.container(2)
    conf, options = request(space, 2, **SAME)
    node.cni.ok("firewall", "ADD", conf, **options)
    drop_forwarded()
    before = touched()
    node.cni.refused("firewall", "CHECK", conf, **options)
    assert touched() == before
