# SPDX-License-Identifier: Apache-2.0
"""`cnipy ls`, `show`, `ports`, `rules`, `addresses`: what there is, by other eyes."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import need, nft_objects, run
from netns.cnipy.helpers import Desk

from cnipy.attachment import container_id_of
from cnipy.tree import children as of_tree

if TYPE_CHECKING:
    from lab import Cni, Host, Space

BRIDGE = {
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "ipMasq": True,
    "macspoofchk": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.9.0.0/29"}], [{"subnet": "fd09::/64"}]],
    },
}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
LIMITED = {"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 80_000}


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator with the networks n and p."""
    desk = Desk(host, cni, tmp_path)
    desk.network("n", BRIDGE, PORTMAP, {"type": "firewall"}, LIMITED)
    ptp = {"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.8.0.0/24"}}
    desk.network("p", ptp)
    return desk


def document(desk: Desk, *words: str) -> Any:
    """Return the JSON document of a verb that must succeed."""
    return json.loads(desk.ok(*words, "--json"))


def elements(family: str, table: str) -> dict[str, list[Any]]:
    """Return the elements of a table as nft(8) lists them, by set and map."""
    listed = json.loads(run("nft", "-j", "list", "table", family, table))["nftables"]
    found = [item.get("map") or item.get("set") for item in listed]
    return {each["name"]: each.get("elem", []) for each in found if each}


def addresses_inside(space: Space) -> set[str]:
    """Return the global addresses of eth0 as ip(8) lists them."""
    (link,) = space.ip("address", "show", "dev", "eth0", "scope", "global")
    held = filter(None, link["addr_info"])
    return {f"{each['local']}/{each['prefixlen']}" for each in held}


def test_tree_says_what_the_kernel_has(desk: Desk, host: Host) -> None:
    """Both ends, addresses, MAC, bridge, ports and limits are those that others see."""
    first, second = host.space(), host.space()
    desk.attach("n", first, ports=[8080])
    desk.attach("n", second)
    shown = document(desk, "show", "n")
    ports = {link["ifname"] for link in json.loads(run("ip", "-j", "link"))}
    for space, one in zip(
        (first, second),
        sorted(shown, key=lambda o: o["netns"] != first.path),
        strict=True,
    ):
        (inside,) = space.ip("link", "show", "dev", "eth0")
        assert one["link"]["mac"] == inside["address"]
        assert one["link"]["host"] in ports
        assert set(one["addresses"]) == addresses_inside(space)
        (port,) = json.loads(run("ip", "-j", "link", "show", one["link"]["host"]))
        assert port["master"] == one["link"]["master"] == "br0"
        assert one["limits"] == ["receives at most 8 Mbit/s"]
    text = desk.ok("show", "n")
    (bridge,) = json.loads(run("ip", "-j", "link", "show", "br0"))
    assert f"└─ bridge br0, 10.9.0.1/29, fd09::1/64, MAC {bridge['address']}" in text
    assert "up: 2 attached\n" in text
    assert "publishes tcp 8080 → 80\n" in text
    assert "!" not in text
    run("ip", "link", "set", "br0", "down")
    assert "down: 2 attached" in desk.ok("show", "n")


def test_rules_are_counted_as_nft_has_them(desk: Desk, host: Host) -> None:
    """The count is that of the elements that nft lists with the attachment's comment,
    and of those about its port.
    """
    space = host.space()
    desk.attach("n", space, ports=[8080])
    (one,) = document(desk, "show", "n")
    comment = f"n {container_id_of(space.path)} eth0"
    listed = run("nft", "list", "ruleset")
    guarded = elements("bridge", "cnipy_spoofcheck")["guarded"]
    assert guarded == [one["link"]["host"]]
    assert one["rules"] == listed.count(f'comment "{comment}"') + len(guarded) > 5
    (told,) = document(desk, "rules", space.name)
    own = [each for each in told["rules"] if not each["shared"]]
    assert len(own) == one["rules"]
    assert all(each["purpose"] for each in told["rules"])
    shared = [each["text"] for each in told["rules"] if each["shared"]]
    assert "subnet 10.9.0.0/29" in shared
    run("nft", "flush", "ruleset")
    assert "no rule and no element" in desk.ok("rules", space.name)


def test_rules_are_of_one_container_alone(desk: Desk, host: Host) -> None:
    """Nothing of a neighbour is printed, and an unknown container is refused."""
    first, second = host.space(), host.space()
    desk.attach("n", first, ports=[8080])
    desk.attach("n", second, ports=[8081])
    told = desk.ok("rules", first.name)
    assert "tcp port 8080 of the host leads to 10.9.0.2 port 80" in told
    assert "8081" not in told
    assert "10.9.0.3" not in told
    assert "it has no attachment" in desk.refused("rules", "nobody")
    assert "find container " in desk.refused("rules", first.name, "p")
    assert desk.refused("rules", first.name, "q").startswith("cnipy: find network q")


def test_rules_in_iptables_are_told(desk: Desk, host: Host) -> None:
    """Where firewall uses iptables, its rules stand there with their purposes."""
    need("iptables")
    need("ip6tables")
    desk.network("i", BRIDGE, {"type": "firewall", "backend": "iptables"})
    space = host.space()
    desk.attach("i", space)
    (told,) = document(desk, "rules", space.name)
    there = [each for each in told["rules"] if "iptables" in each["table"]]
    for version, command in ((4, "iptables"), (6, "ip6tables")):
        listed = run(command, "-S", "CNI-FORWARD").splitlines()
        own = [line for line in listed if container_id_of(space.path) in line]
        told_of = [e for e in there if e["table"].endswith(f"IPv{version}")]
        assert len(told_of) == len(own) == 2
        assert all(each["purpose"].endswith("forwarded") for each in told_of)


def test_ports_lead_where_the_map_of_the_kernel_says(desk: Desk, host: Host) -> None:
    """Each port of nft's map is told, with who listens there in vain."""
    first, second = host.space(), host.space()
    desk.attach("n", first, ports=[8080])
    desk.attach("n", second, ports=[8081])
    told = {row["hostPort"]: row for row in document(desk, "ports")}
    mapped = elements("inet", "cnipy_portmap")["hostports4"]
    for key, value in mapped:
        _, number = key["elem"]["val"]["concat"]
        address, port = value["concat"]
        assert address in told[number]["addresses"]
        assert told[number]["containerPort"] == port
    assert len(told) == len(mapped) == 2
    assert told[8080]["faults"] == []
    with socket.create_server(("0.0.0.0", 8080)):
        listening = run("ss", "-Hltn", "sport", "=", ":8080")
        assert "0.0.0.0:8080" in listening
        text = desk.ok("ports")
    assert f"! process {os.getpid()} (" in text
    assert text.count("!") == 1
    listed = nft_objects("table", "inet", "cnipy_portmap")
    for chain in (each["chain"]["name"] for each in listed if "chain" in each):
        run("nft", "flush", "chain", "inet", "cnipy_portmap", chain)
    assert desk.ok("ports").count("! what all ports need is missing") == 2
    faults = [each["faults"] for each in json.loads(desk.ok("ports", "--json"))]
    assert all("missing" in fault for (fault,) in faults)
    run("nft", "flush", "ruleset")
    assert desk.ok("ports").count("! it leads nowhere") == 2
    second.delete()
    host.spaces.remove(second)
    assert desk.ok("ports").count("! the container is gone") == 1


def test_addresses_are_those_of_the_containers(desk: Desk, host: Host) -> None:
    """Used and free are counted; a full range, the dead and strangers are told."""
    spaces = [host.space() for _ in range(5)]
    for space in spaces:
        desk.attach("n", space)
    told = document(desk, "addresses", "n")
    held = {each["address"]: each for each in told["used"]}
    inside = {a.partition("/")[0] for space in spaces for a in addresses_inside(space)}
    assert held.keys() == inside
    assert {each["doubt"] for each in held.values()} == {""}
    assert all(each["since"] for each in held.values())
    first, second = told["pools"]
    assert (first["size"], first["used"], first["free"]) == (5, 5, 0)
    assert second["used"] == 5
    text = desk.ok("addresses", "n")
    assert text.count("! no address is left") == 1
    gone = spaces.pop()
    gone.delete()
    host.spaces.remove(gone)
    Path("/var/lib/cni/networks/n/10.9.0.99").write_text("stranger\r\neth0")
    text = desk.ok("addresses", "n")
    assert text.count("! its network namespace is gone") == 2
    assert text.count("! nobody knows this container") == 1
    assert "no address is used" in desk.ok("addresses", "p")
    assert "there are: n p" in desk.refused("addresses", "x")


def test_networks_are_listed_with_what_is_wrong(desk: Desk, host: Host) -> None:
    """Files, versions, plugins, and each kind of fault, beside what is right."""
    desk.attach("n", host.space())
    head = f"#!/bin/sh\n# cnipy, build {'0' * 32}\n"
    for name in os.listdir(desk.cni.plugin_path):
        (Path(desk.cni.plugin_path) / name).write_text(head)
    assert "!" not in desk.ok("ls")
    told = document(desk, "ls")
    n, p = told["networks"]
    assert (n["name"], n["version"], n["attached"]) == ("n", "1.1.0", 1)
    assert n["plugins"][0] == "bridge (host-local)"
    assert p["attached"] == 0
    (directory,) = told["plugins"]
    assert set(directory["names"]) <= set(os.listdir(directory["directory"]))
    desk.network("absent", {"type": "nowhere"})
    desk.network("typo", {**BRIDGE, "isGatway": True})
    (desk.conf_dir / "z.conflist").write_text("{")
    again = (desk.conf_dir / "n.conflist").read_text()
    (desk.conf_dir / "o.conflist").write_text(again)
    (desk.conf_dir / "p.conflist").unlink()
    text = desk.ok("ls")
    assert "! find plugin 'nowhere': not in CNI_PATH" in text
    assert "! bridge: nothing reads 'isGatway', is 'isGateway' meant?" in text
    assert f"! no network: decode {desk.conf_dir}/z.conflist" in text
    assert f"! it is not taken: {desk.conf_dir}/n.conflist has the name" in text
    (desk.conf_dir / "n.conflist").unlink()
    (desk.conf_dir / "o.conflist").unlink()
    assert "! no file has it any more" in desk.ok("ls")


def test_unreadable_record_is_told_by_each(desk: Desk, host: Host) -> None:
    """A damaged record is said on stderr, and what can be read is shown."""
    first, second = host.space(), host.space()
    desk.attach("n", first, ports=[8080])
    desk.attach("n", second)
    damaged = next(
        p for p in Path("/run/cni/cnipy/bridge/n").iterdir() if "@" in p.name
    )
    damaged.write_text("{")
    looking = (("ls",), ("show",), ("addresses", "n"), ("rules", first.path))
    asking = (("ports",), ("why", second.path, "10.9.0.1"))
    for words in (*looking, *asking):
        assert f"pass over '{damaged}'" in desk.both(*words)[1], words
    status, text, _ = desk("doctor", "--json")
    (finding,) = json.loads(text)
    assert (status, finding["name"]) == (1, "unreadable-record")
    assert str(damaged) in finding["cause"]
    (claims,) = Path("/run/cni/cnipy/portmap-claims").iterdir()
    claims.write_text("{")
    assert f"pass over '{claims}'" in desk.both("ports")[1]


def test_what_is_looked_at_stays(desk: Desk, host: Host) -> None:
    """No verb that looks changes a file, a rule or a link."""
    desk.attach("n", host.space(), ports=[8080])

    def state() -> tuple[Any, ...]:
        tops = [Path("/run/cni"), Path("/var/lib/cni")]
        files = {str(p): p.lstat().st_mtime_ns for t in tops for p in t.rglob("*")}
        rules, links = run("nft", "list", "ruleset"), run("ip", "route")
        return files, rules, links

    before = state()
    for words in (("ls",), ("show",), ("ports",), ("addresses", "n"), ("rules", "c")):
        desk(*words)
        assert state() == before, words


@pytest.mark.parametrize("helped", ["by nobody", "by children", "by children that die"])
def test_many_are_looked_at_by_children(
    helped: str, desk: Desk, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks finds the same, and what a child does not tell its parent does."""
    spaces = [host.space() for _ in range(5)]
    for space in spaces:
        desk.attach("n", space, ports=[8080] if space is spaces[-1] else None)
        space.run("ip", "address", "flush", "dev", "eth0")
    children: list[int] = []

    def fork() -> int:
        pid = real()
        children.append(pid)
        return pid

    real = os.fork
    monkeypatch.setattr(of_tree.os, "fork", fork)
    monkeypatch.setattr(of_tree.os, "sched_getaffinity", lambda _: {0, 1, 2})
    if helped != "by nobody":
        monkeypatch.setattr(of_tree, "_MANY", 2)
    if helped == "by children that die":
        monkeypatch.setattr(of_tree, "json", None)
    text = desk.ok("show", "n")
    assert text.count("! check interface eth0: it lacks 10.9.0.") == len(spaces)
    assert len(children) == (0 if helped == "by nobody" else 2)
    assert text.count("publishes tcp 8080 → 80\n") == 1
    for pid in children:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
