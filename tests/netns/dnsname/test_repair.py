# SPDX-License-Identifier: Apache-2.0
"""dnsname: what `cnipy` shows, explains and repairs of names and their dnsmasq."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from netns.bridge.helpers import DUAL
from netns.cnipy.helpers import Desk
from netns.dnsname.helpers import SERVERS, Names, Reply, kill, pid, pids

from cni_common import state

if TYPE_CHECKING:
    from lab import Cni, Host

DEAD = "check dnsmasq of network net: not running"
HOSTS = Path(SERVERS, "net/hosts")


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator."""
    return Desk(host, cni, tmp_path)


def test_dead_dnsmasq_is_started_once(node: Names, desk: Desk) -> None:
    """One line says that it does not run; then it serves all, as it did before."""
    one, two = node.attach("c1", "one"), node.attach("c2", "two")
    conf = Path(SERVERS, "net/dnsmasq.conf").read_text()
    assert desk.ok("repair") == ""
    kill(pid())
    planned = desk.ok("repair", "--dry-run")
    assert (pids(), planned.count("\n")) == ([], 1)
    assert planned.endswith(f"{DEAD}; would be put back\n")
    done = desk.ok("repair")
    assert done == planned.replace("would be put back", "put back")
    assert pids() == [pid()]
    assert one.ask("two.dns.podman") == Reply(0, [two.address])
    assert two.ask("one") == Reply(0, [one.address])
    assert Path(SERVERS, "net/dnsmasq.conf").read_text() == conf
    assert desk.ok("repair") == ""


def test_started_for_the_last_domain(node: Names, desk: Desk) -> None:
    """What a later ADD changed holds for the network, whoever is repaired first."""
    node.attach("c1", "one")
    two = node.attach("c2", "two", domainName="new.example")
    conf = Path(SERVERS, "net/dnsmasq.conf").read_text()
    assert desk.ok("repair") == ""
    kill(pid())
    assert desk.ok("repair").endswith(f"{DEAD}; put back\n")
    assert Path(SERVERS, "net/dnsmasq.conf").read_text() == conf
    assert two.ask("two.new.example") == Reply(0, [two.address])


def test_lost_names_are_put_back(node: Names, desk: Desk) -> None:
    """Files that somebody removed or changed are there again, and are answered from."""
    one, two = node.attach("c1", "one"), node.attach("c2", "two")
    before = {path: path.read_text() for path in HOSTS.iterdir()}
    first, second = HOSTS.iterdir()
    first.unlink()
    second.write_text("10.9.9.9 else\n")
    done = desk.ok("repair", "net")
    assert done.count(f"file in {HOSTS} is missing or changed; put back\n") == 2
    assert {path: path.read_text() for path in HOSTS.iterdir()} == before
    assert one.ask("two") == Reply(0, [two.address])
    assert two.ask("one") == Reply(0, [one.address])
    assert desk.ok("repair") == ""


def test_names_are_shown_with_what_differs(node: Names, desk: Desk) -> None:
    """show says by what a container is found, and that dnsmasq does not run."""
    one = node.attach("c1", "one")
    shown = desk.ok("show", "net", "--parts")
    assert f"the container at {one.address}, {one.address6} is found by one." in shown
    assert "    ! " not in shown
    kill(pid())
    assert f"    ! {DEAD}\n" in desk.ok("show", "net", "--parts")


def test_names_are_explained_once_there_is_a_bridge(node: Names, desk: Desk) -> None:
    """Before there is one nobody can tell where dnsmasq would answer."""
    bridge = {"type": "bridge", "bridge": "br0", "isGateway": True, "ipam": DUAL}
    desk.network("net", bridge, {"type": "dnsname", "domainName": "dns.podman"})
    assert "dnsname\n  ! as things are now: serve names: no gateway" in desk.ok(
        "explain", "net"
    )
    node.attach("c1", "one")
    whole = json.loads(desk.ok("explain", "net", "--json"))
    server, names = whole[1]["parts"]
    assert (server["part"], server["links"]) == ("name_server", ["br0"])
    assert (names["part"], names["servers"]) == ("names", ["10.1.2.1", "fd00:1::1"])
    assert pids() == [pid()]


@pytest.mark.parametrize("known", [True, False])
def test_record_of_before_is_repaired(node: Names, desk: Desk, *, known: bool) -> None:
    """One that does not tell where dnsmasq answers goes by what it was started for."""
    one = node.attach("c1", "one")
    path = Path(state.ROOT, "dnsname/net/c1@eth0")
    record = json.loads(path.read_text())
    names = record.pop("parts")[1]
    kept = {key: names[key] for key in ("names", "addresses", "servers")}
    for key in ("format", "complete", "asked", "ipam", "result"):
        record.pop(key)
    path.write_text(json.dumps(record | kept))
    assert desk.ok("repair") == ""
    kill(pid())
    if known:
        assert desk.ok("repair").endswith(f"{DEAD}; put back\n")
        assert one.ask("one") == Reply(0, [one.address])
    else:
        os.unlink(f"{SERVERS}/net/service")
        status, told, _ = desk("repair")
        fate = "cannot be put back: its links are not on record"
        assert (status, pids()) == (1, [])
        assert told.endswith(f"{DEAD}; {fate}\n")
    node.call("DEL", one)
    assert pids() == []
