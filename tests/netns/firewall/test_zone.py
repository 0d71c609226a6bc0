# SPDX-License-Identifier: Apache-2.0
"""firewall beside a real firewalld, on hosts where iptables drops besides."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any

import private_firewalld
import pytest
from lab import PATIENCE
from netns.firewall.helpers import (
    Guarded,
    drop_forwarded,
    left,
    members,
    request,
    saved,
    unreached,
)
from netns.firewall.remote import Remote, at, keys
from netns.portmap.helpers import NODE, ask_from, mapping, serving
from netns.portmap.helpers import request as publish

from cni_common import firewalld, system_bus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Cni, Host
    from private_firewalld import Firewalld

GUARDED = {"ingressPolicy": "same-bridge"}


@pytest.fixture
def firewall(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Firewalld]:
    """firewalld in the test's network namespace, on a bus of its own."""
    del host
    monkeypatch.delenv(system_bus.ADDRESS, raising=False)
    monkeypatch.setattr(firewalld, "SECONDS", firewalld.SECONDS * PATIENCE)
    bus = private_firewalld.system_bus(tmp_path)
    with bus, private_firewalld.running(tmp_path) as process:
        yield process


@pytest.mark.parametrize("drops", (False, True))
def test_networks_are_apart_and_published_behind_firewalld(
    firewall: Firewalld, host: Host, cni: Cni, tmp_path: Path, *, drops: bool
) -> None:
    """Zone, policy and published ports hold together, with Docker's FORWARD too."""
    node = Guarded(host, cni)
    why = "firewalld: firewalld is running"
    if drops:
        drop_forwarded()
        why = "firewalld and iptables: firewalld is running;"
        why += " FORWARD of iptables-nft drops"
    one, other, log = node.container(2), node.neighbour(2), tmp_path / "plugin.log"
    conf, options = request(one, 2, logFile=str(log), **GUARDED)
    node.cni.ok("firewall", "ADD", conf, **options)
    events = json.loads(log.read_text())["events"]
    assert [event["text"] for event in events] == [f"backend {why}"]
    node.ok("ADD", other, 2, bridge="br1", **GUARDED)
    ports, target = publish(one, 2, mapping(8080))
    node.cni.ok("portmap", "ADD", ports, **target)
    with serving(node.outside, "out"), serving(one, "one"), serving(other, "other"):
        assert ask_from(one, "198.51.100.2", 80) == "out 10.1.0.2"
        assert ask_from(node.outside, NODE, 8080) == "one 198.51.100.2"
        assert unreached(one, ("10.2.0.2", 80))
        assert unreached(other, ("10.1.0.2", 80))
    assert firewall.sources() == {f"{a}/32" for a in ("10.1.0.2", "10.2.0.2")} | {
        f"{a}/128" for a in ("fd01::2", "fd02::2")
    }
    assert members("containers4") == ([] if drops else ["10.1.0.2", "10.2.0.2"])
    firewall.reload()
    error = node.cni.refused("firewall", "CHECK", conf, **options)
    assert error["msg"].startswith("check firewall: missing ")
    for command in ("DEL", "ADD", "CHECK"):
        node.cni.ok("firewall", command, conf, **options)
    node.ok("DEL", "", 2, bridge="br1")
    node.ok("DEL", "", 2)
    node.cni.ok("portmap", "DEL", ports, **target)
    assert firewall.sources() == set()
    assert [line for line in saved() if "CNI" in line] == []
    assert left() == []


@pytest.mark.parametrize("overlay", (False, True))
def test_zone_has_who_comes_from_other_nodes(
    firewall: Firewalld, host: Host, cni: Cni, *, overlay: bool
) -> None:
    """They reach the container: by the overlay as an interface, else by the pools."""
    node = Guarded(host, cni)
    firewall.command("--add-port=4789/udp")  # of the tunnel itself
    remote = Remote(host, node.outside, overlay=overlay)
    one, far = node.container(2), remote.container(1)
    wanted = keys(1, "same-bridge", overlay=overlay)
    node.ok("ADD", one, 2, **wanted)
    with serving(one, "one"), serving(far, "far"):
        assert ask_from(far, "10.1.0.2", 80) == f"one {at(1)[0]}"
        assert ask_from(far, "fd01::2", 80) == f"one {at(1)[1]}"
        assert ask_from(one, at(1)[1], 80) == "far fd01::2"
    assert ("10.1.0.0/16" in firewall.sources()) is not overlay
    assert ("interfaces: ov1" in firewall.bindings()) is overlay
    firewall.reload()  # which forgets the port, too
    error = node.refused("CHECK", one, 2, **wanted)
    assert error["msg"].startswith("check firewall: missing ")
    node.ok("ADD", one, 2, **wanted)
    node.ok("CHECK", one, 2, **wanted)
    node.ok("DEL", "", 2)
    assert (firewall.bindings(), left()) == ([], [])


def test_firewalld_that_hangs_is_waited_for_without_the_lock(
    firewall: Firewalld,
    host: Host,
    cni: Cni,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ADD and DEL fail after one limit; whoever does not need firewalld goes on."""
    limit = 2.0 * PATIENCE
    monkeypatch.setattr(firewalld, "SECONDS", limit)
    node = Guarded(host, cni)
    one, two, three = (node.container(number) for number in (2, 3, 4))
    node.ok("ADD", one, 2)
    stopped = private_firewalld.stopped(firewall.process)
    with stopped, ExitStack() as ends:
        began = monotonic()
        calls = [("ADD", two, 3), ("ADD", three, 4), ("DEL", one, 2), ("DEL", "", 7)]
        for number, call in enumerate(calls):
            place = str(tmp_path / f"answer{number}")
            ends.callback(os.waitpid, _in_child(node, call, place), 0)
        node.ok("ADD", two, 3, container_id="own", backend="nftables")
        node.ok("DEL", two, 3, container_id="own")
        assert monotonic() - began < limit
    assert monotonic() - began < 2 * limit
    msg = f"ask firewalld: ask system bus: no answer within {limit:g} s"
    answers = [(tmp_path / f"answer{n}").read_text() for n in range(len(calls))]
    assert [json.loads(answer)["msg"] for answer in answers] == [msg] * len(calls)
    assert members("containers4") == []
    for number in (2, 3, 4):
        node.ok("DEL", "", number)
    assert firewall.sources() == set()
    assert left() == []


def _in_child(node: Guarded, call: tuple[str, Any, int], place: str) -> int:
    """Return a process that writes the answer of a call to a file."""
    child = os.fork()
    if child == 0:
        with open(place, "w", encoding="utf-8") as answer:
            answer.write(node.call(*call).stdout)
        os._exit(0)
    return child


def test_firewalld_that_starts_later_or_forgets(
    host: Host, cni: Cni, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When firewalld comes, or is reloaded, the next ADD brings everybody's sources."""
    monkeypatch.delenv(system_bus.ADDRESS, raising=False)
    node = Guarded(host, cni)
    one, two = node.container(2), node.container(3)
    node.ok("ADD", one, 2, **GUARDED)
    bus = private_firewalld.system_bus(tmp_path)
    with bus, private_firewalld.running(tmp_path) as firewall:
        error = node.refused("CHECK", one, 2, **GUARDED)
        missing = "missing sources in zone trusted: by now firewalld is running"
        assert error["msg"] == f"check firewall: {missing}"
        assert not one.reaches("198.51.100.2")
        node.ok("ADD", two, 3, **GUARDED)
        assert one.reaches("198.51.100.2")
        whole = firewall.sources()
        assert whole == {"10.1.0.2/32", "10.1.0.3/32", "fd01::2/128", "fd01::3/128"}
        firewall.reload()
        assert firewall.sources() == set()
        node.ok("ADD", node.container(4), 4, **GUARDED)
        assert firewall.sources() > whole
        for number in (2, 3):
            node.ok("CHECK", (one, two)[number - 2], number, **GUARDED)
        for number in (2, 3, 4):
            node.ok("DEL", "", number)
        assert (firewall.sources(), left()) == (set(), [])
