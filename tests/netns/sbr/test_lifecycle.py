# SPDX-License-Identifier: Apache-2.0
"""sbr: DEL, CHECK, GC and repair of what routes by source."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from netns.cnipy.helpers import Desk
from netns.sbr.helpers import (
    NAME,
    RECORDS,
    attached,
    bridge,
    conf,
    everything,
    of,
    records,
    reference,
    routes,
    rules,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space


@pytest.fixture
def routed(cni: Cni, container: Space) -> dict[str, Any]:
    """The result of a container that is routed by source."""
    result = attached(cni, container, 1)
    cni.ok("sbr", "ADD", conf(result), **of(container, 1))
    return result


@pytest.mark.parametrize("netns", ["there", "", "/run/netns/gone"])
@pytest.mark.parametrize("less", [(), ("prevResult",)])
def test_delete_puts_everything_back(
    cni: Cni, container: Space, netns: str, less: tuple[str, ...]
) -> None:
    """DEL needs neither prevResult nor CNI_NETNS; again it succeeds."""
    result = attached(cni, container, 1)
    before = everything(container)
    wanted = conf(result, addSourceHints=True)
    cni.ok("sbr", "ADD", wanted, **of(container, 1))
    given = {key: value for key, value in wanted.items() if key not in less}
    path = container.path if netns == "there" else netns
    for _ in range(2):
        cni.ok("sbr", "DEL", given, netns=path, ifname="net1")
        assert (everything(container), records()) == (before, [])


def test_delete_when_the_namespace_is_gone(
    cni: Cni, container: Space, routed: dict[str, Any]
) -> None:
    """Without the namespace DEL succeeds, and makes no file in its place."""
    container.delete()
    cni.ok("sbr", "DEL", conf(routed), **of(container, 1))
    assert records() == []
    with pytest.raises(FileNotFoundError), open(container.path):
        pass


def test_delete_when_the_link_is_gone(
    cni: Cni, container: Space, routed: dict[str, Any]
) -> None:
    """The rules are of nobody, and go."""
    container.run("ip", "link", "delete", "net1")
    cni.ok("sbr", "DEL", conf(routed), **of(container, 1))
    assert (rules(container), records()) == ([], [])


def test_delete_without_a_record_spares_the_other_interface(
    cni: Cni, container: Space, routed: dict[str, Any]
) -> None:
    """By mark, priority and table DEL finds its own rules, not those of net2."""
    other = attached(cni, container, 2)
    cni.ok("sbr", "ADD", conf(other), **of(container, 2))
    container.run("ip", "rule", "add", "from", "10.3.0.2", "table", "300")
    shutil.rmtree(RECORDS)
    cni.ok("sbr", "DEL", conf(routed), **of(container, 1))
    left = [("10.2.0.2", "101"), ("10.3.0.2", "300"), ("fd00:2::2", "101")]
    assert [rule[:2] for rule in rules(container)] == left
    assert (routes(container, 100), len(routes(container, 101))) == ([], 5)


def test_delete_of_rules_whose_link_went_without_a_record(
    cni: Cni, container: Space, routed: dict[str, Any]
) -> None:
    """What has our mark and leads nowhere is nobody's."""
    shutil.rmtree(RECORDS)
    container.run("ip", "link", "delete", "net1")
    cni.ok("sbr", "DEL", conf(routed), **of(container, 1))
    assert rules(container) == []


HARM: list[tuple[tuple[str, ...], str]] = [
    (
        ("ip", "rule", "del", "from", "10.1.0.2"),
        "check rule from 10.1.0.2: missing, to table 100",
    ),
    (
        ("ip", "-6", "rule", "del", "from", "fd00:1::2"),
        "check rule from fd00:1::2: missing, to table 100",
    ),
    (
        ("ip", "route", "del", "default", "table", "100"),
        "check route 0.0.0.0/0 via 10.1.0.1: missing in table 100",
    ),
    (
        ("ip", "-6", "route", "del", "default", "table", "100"),
        "check route ::/0 via fd00:1::1: missing in table 100",
    ),
]


@pytest.mark.parametrize(("harm", "message"), HARM)
def test_check_and_the_same_add(
    cni: Cni,
    container: Space,
    routed: dict[str, Any],
    harm: tuple[str, ...],
    message: str,
) -> None:
    """CHECK names what is missing, and the same ADD puts that back."""
    cni.ok("sbr", "CHECK", conf(routed), **of(container, 1))
    before = everything(container)
    container.run(*harm)
    error = cni.refused("sbr", "CHECK", conf(routed), **of(container, 1))
    assert error["msg"] == message
    cni.ok("sbr", "ADD", conf(routed), **of(container, 1))
    assert everything(container) == before


def test_check_without_a_record(
    cni: Cni, container: Space, routed: dict[str, Any]
) -> None:
    """Which table was chosen nobody knows."""
    shutil.rmtree(RECORDS)
    error = cni.refused("sbr", "CHECK", conf(routed), **of(container, 1))
    assert error["msg"] == "route by source of net1: missing record of ADD"


def test_gc(cni: Cni, host: Host) -> None:
    """What is not in the list goes, what is in it stays."""
    spaces = [host.space() for _ in range(2)]
    for number, space in enumerate(spaces):
        given = {**of(space, 1), "container_id": f"c{number}"}
        result = cni.ok("bridge", "ADD", bridge(1), **given)
        cni.ok("sbr", "ADD", conf(result), **given)
    valid = [{"containerID": "c1", "ifname": "net1"}]
    cni.ok("sbr", "GC", {**NAME, "cni.dev/valid-attachments": valid})
    assert [len(rules(space)) for space in spaces] == [0, 2]
    assert records() == [f"{RECORDS}/net/c1@net1"]


def test_status(cni: Cni, host: Host) -> None:
    """This kernel has rules."""
    assert host
    cni.ok("sbr", "STATUS", NAME)


def test_repair(cni: Cni, host: Host, tmp_path: Path) -> None:
    """After the link was down its routes are where they were, and the default one."""
    desk = Desk(host, cni, tmp_path)
    desk.network("n", bridge(1), {"type": "sbr"})
    space = host.space()
    desk.attach("n", space)
    before = everything(space)
    space.run("ip", "link", "set", "eth0", "down")
    space.run("ip", "link", "set", "eth0", "up")
    assert everything(space) != before
    desk.ok("repair")
    found = routes(space, 100)
    assert [line for line in found if line.startswith("default")] == [
        "default via 10.1.0.1 eth0",
        "default via fd00:1::1 eth0",
    ]
    assert routes(space) == []
    assert desk.ok("repair") == ""


def test_what_the_reference_made_is_deleted(cni: Cni, container: Space) -> None:
    """Its rules have no mark; the addresses of the interface tell."""
    other = attached(cni, container, 2)
    cni.ok("sbr", "ADD", conf(other), **of(container, 2))
    ours = rules(container)
    result = attached(cni, container, 1)
    reference(container, "ADD", conf(result))
    assert len(rules(container)) == 4
    cni.ok("sbr", "DEL", conf(result), **of(container, 1))
    assert rules(container) == ours


def test_reference_deletes_what_we_made(
    cni: Cni, container: Space, routed: dict[str, Any]
) -> None:
    """Its DEL finds our rules by the addresses, and ours finishes what it left."""
    reference(container, "DEL", conf(routed))
    assert rules(container) == []
    cni.ok("sbr", "DEL", conf(routed), **of(container, 1))
    assert records() == []


@pytest.mark.parametrize("route", ["", "zz", "02", "0a" * 12, 7, "02" + "00" * 11])
def test_damaged_record(
    cni: Cni, container: Space, routed: dict[str, Any], route: object
) -> None:
    """A route that is none makes the record none: DEL finds the rules by their mark."""
    path = f"{RECORDS}/net/c1@net1"
    with open(path) as file:
        document = json.load(file)
    document["parts"][0]["routes"][0] = route
    with open(path, "w") as file:
        json.dump(document, file)
    cni.ok("sbr", "DEL", conf(routed), **of(container, 1))
    assert (rules(container), routes(container, 100)) == ([], [])
