# SPDX-License-Identifier: Apache-2.0
"""`cnipy repair`: what somebody took from living containers is there again."""

from __future__ import annotations

import fcntl
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import PATIENCE, nft_objects, run
from netns.cnipy.helpers import BRIDGE, PORTMAP, Desk, attachment_words
from netns.firewall.helpers import needs_variant
from netns.portmap.helpers import NODE, route_localnet
from netns.sbr import helpers as sbr
from netns.tap import helpers as tap

from cni_common.kernel import nft_questions

if TYPE_CHECKING:
    from lab import Cni, Host, Space

FIREWALL = {"type": "firewall", "ingressPolicy": "same-bridge"}
LACK = "check published ports: missing"
PTP = {
    "type": "ptp",
    "ipMasq": True,
    "ipam": {"type": "host-local", "subnet": "10.8.0.0/24"},
}


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator with the networks n and p."""
    desk = Desk(host, cni, tmp_path)
    desk.network("n", BRIDGE, PORTMAP, FIREWALL)
    desk.network("p", PTP, PORTMAP)
    return desk


def rules() -> list[str]:
    """Return the ruleset of the host, without handles and in an order."""
    return sorted(run("nft", "-s", "list", "ruleset").splitlines())


def inside(space: Space) -> tuple[list[str], ...]:
    """Return addresses and routes of a container."""
    words = (["-o", "address"], ["route"], ["-6", "route"])
    told = (run("ip", "-n", space.name, *each).splitlines() for each in words)
    return tuple(
        sorted(" ".join(line.split()) for line in each if "fe80" not in line)
        for each in told
    )


def test_whole_node_lacks_nothing(desk: Desk, host: Host) -> None:
    """Where nothing was taken, nothing is done or said."""
    desk.attach("n", host.space(), ports=[8080])
    desk.attach("p", host.space(), ports=[8081])
    before = rules()
    assert desk.ok("repair") == ""
    assert desk.ok("repair", "n", "--dry-run") == ""
    assert rules() == before


def test_flushed_ruleset_is_put_back(desk: Desk, host: Host) -> None:
    """After `nft flush ruleset` every table is as it was; dry-run says the same."""
    for network, port in (("n", 8080), ("n", 8081), ("p", 8082)):
        desk.attach(network, host.space(), ports=[port])
    before = rules()
    run("nft", "flush", "ruleset")
    planned = desk.ok("repair", "--dry-run")
    assert rules() == []
    done = desk.ok("repair")
    assert rules() == before
    assert f"portmap: {LACK} table inet cnipy_portmap; put back\n" in done
    assert "firewall: missing table inet cnipy_firewall; put back\n" in done
    assert "check masquerade of 10.9.0.0/24: its rule is missing; put back\n" in done
    assert set(done.splitlines()) <= {
        line.replace("would be put back", "put back") for line in planned.splitlines()
    }
    assert desk.ok("repair") == ""


def test_single_things_are_named(desk: Desk, host: Host) -> None:
    """A port, an address's element, a rule: the line says whose and which."""
    first, second = host.space(), host.space()
    desk.attach("n", first, ports=[8080])
    desk.attach("n", second, ports=[8081])
    before = rules()
    port = ("inet", "cnipy_portmap", "hostports4", "{ tcp . 8081 }")
    run("nft", "delete", "element", *port)
    who = attachment_words("n", second)
    wanted = f"{who}: {LACK} element tcp . 8081 of hostports4; put back\n"
    assert desk.ok("repair", "n", second.name) == wanted
    assert rules() == before
    address = ("inet", "cnipy_firewall", "containers4", "{ 10.9.0.2 }")
    run("nft", "delete", "element", *address)
    assert desk.ok("repair", "n", second.name) == ""
    who = attachment_words("n", first)
    missing = "missing element 10.9.0.2 of containers4"
    wanted = f"{who}: check firewall: {missing}; put back\n"
    assert desk.ok("repair", "n", first.name) == wanted
    assert rules() == before
    run("nft", "flush", "chain", "inet", "cnipy_portmap", "prerouting")
    assert "rule in chain prerouting: 0 of " in desk.ok("repair")
    assert rules() == before


@pytest.mark.parametrize("verb", ["repair", "show"])
def test_table_is_looked_at_once(
    desk: Desk, host: Host, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """The rules of all are asked for once, whatever the number of attachments."""
    for port in (8080, 8081, 8082):
        desk.attach("n", host.space(), ports=[port])
    asked: list[str] = []
    real = nft_questions.Questions.rules

    def spy(ask: nft_questions.Questions) -> list[nft_questions.Rule]:
        asked.append(ask._name)
        return real(ask)

    monkeypatch.setattr(nft_questions.Questions, "rules", spy)
    assert "missing" not in desk.ok(verb)
    assert asked.count("cnipy_portmap") == 1


def test_links_and_addresses_are_put_back(desk: Desk, host: Host) -> None:
    """Down, without addresses, off the bridge: the container has its network again."""
    bridged, routed = host.space(), host.space()
    desk.attach("n", bridged)
    desk.attach("p", routed)
    before = inside(bridged), inside(routed)
    veths = [link["ifname"] for link in host_veths()]
    for space in (bridged, routed):
        space.run("ip", "address", "flush", "dev", "eth0")
    for name in veths:
        run("ip", "link", "set", name, "nomaster", "down")
    run("ip", "address", "flush", "dev", "br0")
    done = desk.ok("repair")
    assert "cannot" not in done
    assert (inside(bridged), inside(routed)) == before
    assert bridged.reaches("10.9.0.1")
    assert routed.reaches("10.8.0.1")
    assert desk.ok("repair") == ""


def host_veths() -> list[dict[str, str]]:
    """Return the host's veths."""
    found: list[dict[str, str]] = json.loads(
        run("ip", "-j", "link", "show", "type", "veth")
    )
    return [link for link in found if link["ifname"].startswith("veth")]


def test_bridge_that_was_deleted_is_made_anew(desk: Desk, host: Host) -> None:
    """The bridge is back, with its MAC, its gateway and all ports that live."""
    spaces = [host.space(), host.space()]
    for space in spaces:
        desk.attach("n", space)
    (before,) = json.loads(run("ip", "-j", "link", "show", "br0"))
    assert spaces[0].reaches("10.9.0.1")
    run("ip", "link", "delete", "br0")
    done = desk.ok("repair")
    (after,) = json.loads(run("ip", "-j", "link", "show", "br0"))
    assert after["address"] == before["address"]
    assert "find link br0: no such device; put back" in done
    assert spaces[0].reaches("10.9.0.1")
    assert spaces[0].reaches("10.9.0.3")
    assert desk.ok("repair") == ""


def test_routes_to_the_subnets_of_a_bridge_are_put_back(desk: Desk, host: Host) -> None:
    """The host has them again, in both families, as the kernel makes them."""
    space = host.space()
    desk.attach("n", space)
    before = subnets_on("br0")
    for family in ("-4", "-6"):
        run("ip", family, "route", "flush", "dev", "br0", "proto", "kernel")
    assert not space.reaches("10.9.0.1")
    done = desk.ok("repair")
    for subnet in ("10.9.0.0/24", "fd09::/64"):
        assert f"check gateway br0: it lacks route {subnet}; put back" in done
    assert subnets_on("br0") == before
    assert space.reaches("10.9.0.1")
    assert desk.ok("repair") == ""


def subnets_on(link: str) -> set[tuple[str, str]]:
    """Return destination and source of the host's routes by a link, both families."""
    shown = [
        route
        for family in ("-4", "-6")
        for route in json.loads(run("ip", "-j", family, "route", "show", "dev", link))
    ]
    return {(r["dst"], r.get("prefsrc", "")) for r in shown if "fe80" not in r["dst"]}


def test_who_makes_the_link_is_first(desk: Desk, host: Host) -> None:
    """What comes behind, whatever its name, finds addresses and routes there again."""
    desk.network("s", tap.conf(name="s"), {"type": "sbr"})
    space = host.space()
    desk.attach("s", space)
    before = sbr.everything(space)
    for damage in (
        ("link", "set", "eth0", "down"),
        ("address", "flush", "dev", "eth0"),
    ):
        space.run("ip", *damage)
        assert sbr.everything(space) != before
        desk.ok("repair")
        assert sbr.everything(space) == before
        assert desk.ok("repair") == ""


def test_link_that_is_gone_is_reported(desk: Desk, host: Host) -> None:
    """What only a new container could get is told, with status 1; the rest is done."""
    lost, kept = host.space(), host.space()
    desk.attach("n", lost, ports=[8080])
    desk.attach("n", kept, ports=[8081])
    before = rules()
    lost.run("ip", "link", "delete", "eth0")
    run("nft", "flush", "ruleset")
    status, planned, _ = desk("repair", "--dry-run")
    told = f"{attachment_words('n', lost)}: check interface eth0: it does not exist; "
    told += "cannot be put back: the link is gone"
    assert (status, told in planned) == (1, True)
    status, done, said = desk("repair")
    assert (status, told in done, said) == (1, True, "")
    assert rules() == before
    assert not any(each["ifname"] == "eth0" for each in lost.ip("link", "show"))


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_rules_of_iptables_are_put_back(desk: Desk, host: Host, variant: str) -> None:
    """Where FORWARD drops, now or only since ADD, the rules of all are there again."""
    needs_variant(variant)
    iptables = f"iptables-{variant}"
    space = host.space()
    desk.attach("n", space)
    run(iptables, "-P", "FORWARD", "DROP")
    done = desk.ok("repair")
    assert f"missing rules in filter table {variant}4: by now FORWARD of" in done
    before = run(iptables, "-S")
    assert "-s 10.9.0.2/32" in before
    run(iptables, "-F", "CNI-FORWARD")
    assert "would be put back" in desk.ok("repair", "--dry-run")
    done = desk.ok("repair")
    who = attachment_words("n", space)
    assert f"{who}: check firewall: missing rule -A CNI-FORWARD" in done
    assert sorted(run(iptables, "-S").splitlines()) == sorted(before.splitlines())
    assert desk.ok("repair") == ""


def test_the_dead_are_left_to_gc(desk: Desk, host: Host) -> None:
    """Nothing is put back for a container whose namespace is gone."""
    space = host.space()
    desk.attach("p", space, ports=[8080])
    space.delete()
    host.spaces.remove(space)
    run("nft", "flush", "ruleset")
    assert desk.ok("repair") == ""
    assert rules() == []


def test_localnet_is_put_back(desk: Desk, host: Host) -> None:
    """What publishes ports at 127.0.0.1, and guards it, is there again."""
    desk.attach("n", host.space(), ports=[8080])
    filters = run("tc", "filter", "show", "dev", "br0", "ingress")
    Path("/proc/sys/net/ipv4/conf/br0/route_localnet").write_text("0")
    run("tc", "qdisc", "delete", "dev", "br0", "clsact", check=False)
    parameter = "sysctl net/ipv4/conf/br0/route_localnet = 1"
    assert f"portmap: {LACK} {parameter}; put back\n" in desk.ok("repair")
    assert route_localnet("br0") == "1"
    assert run("tc", "filter", "show", "dev", "br0", "ingress") == filters
    run("tc", "qdisc", "delete", "dev", "br0", "clsact", check=False)
    if filters:
        assert "filter of link br0 for 127.0.0.0/8; put back" in desk.ok("repair")


def test_spoof_guard_is_put_back(desk: Desk, host: Host) -> None:
    """The table by which ports send from their own MAC only is whole again."""
    desk.network("g", BRIDGE | {"macspoofchk": True, "bridge": "br1"})
    desk.attach("g", host.space())
    desk.attach("g", host.space())
    before = rules()
    run("nft", "flush", "set", "bridge", "cnipy_spoofcheck", "bound")
    done = desk.ok("repair", "g")
    assert "check spoof protection of veth" in done
    assert "; put back" in done
    assert rules() == before


def test_connection_goes_on(desk: Desk, host: Host) -> None:
    """A connection through a published port and one by masquerading survive it."""
    outside, space = host.outside(), host.space()
    outside.run("ip", "route", "flush", "table", "main", "default", check=False)
    desk.attach("n", space, ports=[8080])
    with space.entered():
        server = socket.create_server(("0.0.0.0", 80))
    with outside.entered():
        remote = socket.create_server(("0.0.0.0", 81))
        client = socket.create_connection((NODE, 8080), 5 * PATIENCE)
    with space.entered():
        masqueraded = socket.create_connection(("198.51.100.2", 81), 5 * PATIENCE)
    accepted, _ = server.accept()
    incoming, peer = remote.accept()
    assert peer[0] == NODE
    pairs = ((client, accepted), (accepted, client), (masqueraded, incoming))
    for talk in (pairs, pairs):
        for one, other in talk:
            other.settimeout(10 * PATIENCE)
            one.sendall(b"still there")
            assert other.recv(100) == b"still there"
        run("nft", "flush", "ruleset")
        assert "put back" in desk.ok("repair")
    for each in (server, remote, client, masqueraded, accepted, incoming):
        each.close()


def test_unreadable_record_does_not_stop_the_rest(desk: Desk, host: Host) -> None:
    """A damaged record is told; what the others lack comes back."""
    first, second = host.space(), host.space()
    desk.attach("p", first)
    desk.attach("p", second)
    room = Path("/run/cni/cnipy/ptp/p")
    damaged = next(p for p in room.iterdir() if first.path in p.read_text())
    damaged.write_text("{")
    second.run("ip", "link", "set", "eth0", "down")
    done, said = desk.both("repair")
    assert f"{attachment_words('p', second)}: " in done
    assert f"pass over '{damaged}'" in said


def test_repair_leaves_what_del_is_at(desk: Desk, host: Host) -> None:
    """While a DEL holds the record, repair puts nothing back."""
    space = host.space()
    desk.attach("p", space)
    run("nft", "flush", "ruleset")
    (record,) = Path("/run/cni/cnipy/ptp/p").iterdir()
    with record.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert desk.ok("repair") == ""
        assert nft_objects("ruleset") == []
    assert "put back" in desk.ok("repair")
