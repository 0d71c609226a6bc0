# SPDX-License-Identifier: Apache-2.0
"""ipMasq: one rule a subnet, for as long as somebody uses the subnet."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.bridge.helpers import DUAL, conf
from netns.parts.masquerading import masqueraded, seen_source

if TYPE_CHECKING:
    from lab import Cni, Host, Space

TWO = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.1.3.0/24"}]],
    "routes": [{"dst": "0.0.0.0/0"}],
}


def test_source_is_masqueraded_towards_the_outside(cni: Cni, host: Host) -> None:
    """An outside server sees the node's address, for both families."""
    outside, one = host.outside(), host.space()
    cni.ok("bridge", "ADD", conf(ipam=DUAL, ipMasq=True), netns=one)
    seen = seen_source(one, "10.1.2.2", outside, "198.51.100.2")
    assert seen == "198.51.100.1"
    seen = seen_source(one, "fd00:1::2", outside, "2001:db8:99::2")
    assert seen == "2001:db8:99::1"


def test_every_address_of_the_container_is_masqueraded(cni: Cni, host: Host) -> None:
    """With two IPv4 subnets both sources are masqueraded."""
    outside, one = host.outside(), host.space()
    cni.ok("bridge", "ADD", conf(ipam=TWO, ipMasq=True), netns=one)
    assert masqueraded() == ["subnet 10.1.2.0/24", "subnet 10.1.3.0/24"]
    for source in ("10.1.2.2", "10.1.3.2"):
        assert seen_source(one, source, outside, "198.51.100.2") == "198.51.100.1"


def test_neighbours_in_the_subnet_see_the_true_source(cni: Cni, host: Host) -> None:
    """Traffic within either subnet keeps its source, through the host's stack too."""
    one, two = host.space(), host.space()
    for name, space in (("one", one), ("two", two)):
        wanted = conf(ipam=TWO, ipMasq=True)
        cni.ok("bridge", "ADD", wanted, netns=space, container_id=name)
        # Each frame has to pass the host's routing, not only the bridge.
        for subnet in ("10.1.2.0/24", "10.1.3.0/24"):
            space.run("ip", "route", "del", subnet)
        for gateway in ("10.1.2.1", "10.1.3.1"):
            space.run("ip", "route", "add", gateway, "dev", "eth0")
        space.run("ip", "route", "replace", "default", "via", "10.1.2.1")
    run("sysctl", "-qw", "net.ipv4.conf.all.send_redirects=0")
    run("sysctl", "-qw", "net.ipv4.conf.br0.send_redirects=0")
    assert seen_source(one, "10.1.2.2", two, "10.1.2.3") == "10.1.2.2"
    assert seen_source(one, "10.1.3.2", two, "10.1.3.3") == "10.1.3.2"


def test_multicast_keeps_its_source(cni: Cni, host: Host) -> None:
    """Multicast of both families leaves the chain before the masquerading rules."""
    host.outside()
    one = host.space()
    cni.ok("bridge", "ADD", conf(ipMasq=True), netns=one)
    listed = nft_objects("chain", "inet", "cnipy_masquerade", "postrouting")
    first, second = [item["rule"] for item in listed if "rule" in item][:2]
    for rule, addresses, length in (
        (first, "224.0.0.0", 4),
        (second, "ff00::", 8),
    ):
        match, verdict = rule["expr"]
        right = {"prefix": {"addr": addresses, "len": length}}
        assert match["match"]["right"] == right
        assert verdict == {"return": None}


def test_last_attachment_of_a_subnet_removes_the_rule(cni: Cni, host: Host) -> None:
    """Two networks share a subnet: the rule goes with the second DEL only."""
    one, two = host.space(), host.space()
    ipam: dict[str, Any] = {"type": "host-local"}
    first = conf(
        name="first",
        ipMasq=True,
        ipam={**ipam, "subnet": "10.1.2.0/24", "rangeEnd": "10.1.2.99"},
    )
    second = conf(
        name="second",
        ipMasq=True,
        ipam={**ipam, "subnet": "10.1.2.0/24", "rangeStart": "10.1.2.100"},
    )
    cni.ok("bridge", "ADD", first, netns=one, container_id="one")
    cni.ok("bridge", "ADD", second, netns=two, container_id="two")
    assert masqueraded() == ["subnet 10.1.2.0/24"]
    cni.ok("bridge", "DEL", first, netns=one, container_id="one")
    assert masqueraded() == ["subnet 10.1.2.0/24"]
    cni.ok("bridge", "DEL", second, netns=two, container_id="two")
    assert nft_objects("ruleset") == []


DAMAGES = [
    ["flush", "ruleset"],
    ["flush", "chain", "inet", "cnipy_masquerade", "postrouting"],
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_next_add_restores_all_rules(cni: Cni, host: Host, damage: list[str]) -> None:
    """After somebody flushed our rules one ADD brings back those of all networks."""
    other = conf(name="other", bridge="br1", ipMasq=True, ipam=TWO)
    cni.ok("bridge", "ADD", other, netns=host.space(), container_id="one")
    wanted = conf(ipam={"type": "host-local", "subnet": "10.7.0.0/24"}, ipMasq=True)
    cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id="two")
    run("nft", *damage)
    assert masqueraded() == []
    cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id="three")
    assert masqueraded() == [
        "subnet 10.1.2.0/24",
        "subnet 10.1.3.0/24",
        "subnet 10.7.0.0/24",
    ]


def test_killed_registration_is_made_good(
    cni: Cni, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subnet that was written down by a killed ADD gets its rule by the next one."""
    other = conf(name="other", bridge="br1", ipMasq=True, ipam=TWO)
    cni.ok("bridge", "ADD", other, netns=host.space(), container_id="one")
    wanted = conf(ipam={"type": "host-local", "subnet": "10.7.0.0/24"}, ipMasq=True)
    victim, survivor = host.space(), host.space()
    child = os.fork()
    if child == 0:
        monkeypatch.setattr("cni_common.kernel.nft.run", lambda _: os._exit(9))
        cni("bridge", "ADD", wanted, netns=victim, container_id="two")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert "10.7.0.0_24" in os.listdir("/run/cni/cnipy/masquerade")
    cni.ok("bridge", "ADD", wanted, netns=survivor, container_id="three")
    assert "subnet 10.7.0.0/24" in masqueraded()


def test_rules_do_not_grow_with_containers(cni: Cni, host: Host) -> None:
    """Ten containers of a subnet have one rule."""
    for number in range(10):
        name = f"c{number}"
        cni.ok(
            "bridge", "ADD", conf(ipMasq=True), netns=host.space(), container_id=name
        )
    assert masqueraded() == ["subnet 10.1.2.0/24"]


def test_backend_that_is_unknown(cni: Cni, container: Space) -> None:
    """Another word than nftables or iptables is code 7, and nothing is made."""
    wanted = conf(ipMasq=True, ipMasqBackend="ipchains")
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["code"] == 7
    assert error["msg"] == 'parse ipMasqBackend: unknown ipmasq backend "ipchains"'
    assert run("ip", "-br", "link", "show", "type", "bridge") == ""


@pytest.mark.parametrize("backend", ["", "nftables", "iptables"])
def test_every_backend_is_served_by_nftables(
    cni: Cni, container: Space, tmp_path: Any, backend: str
) -> None:
    """The rules are nftables' for either word, and the log says so for iptables."""
    log = tmp_path / "log"
    keys = {"ipMasqBackend": backend, "logFile": str(log)}
    cni.ok("bridge", "ADD", conf(ipMasq=True, **keys), netns=container)
    assert masqueraded() == ["subnet 10.1.2.0/24"]
    said = "ipMasqBackend iptables is served by nftables" in log.read_text()
    assert said == (backend == "iptables")


def test_other_tables_are_left_alone(cni: Cni, container: Space) -> None:
    """ADD and DEL leave a table of somebody else as it is."""
    run("nft", "add table inet mine; add chain inet mine input")
    run("nft", "add rule inet mine input tcp dport 22 counter accept")
    before = nft_objects("table", "inet", "mine")
    cni.ok("bridge", "ADD", conf(ipMasq=True, macspoofchk=True), netns=container)
    cni.ok("bridge", "DEL", conf(ipMasq=True, macspoofchk=True), netns=container)
    assert nft_objects("ruleset") == before


def test_known_users_stay_as_they_are_when_others_are_read_back(
    cni: Cni, host: Host
) -> None:
    """With the mark of the table lost, each keeps what was written down about it."""
    one, two = host.space(), host.space()
    wanted = conf(ipam=TWO, ipMasq=True)
    for name, space in (("one", one), ("two", two)):
        cni.ok("bridge", "ADD", wanted, netns=space, container_id=name)
    room = Path("/run/cni/cnipy/masquerade")
    known = {path: path.read_bytes() for path in room.rglob("*") if path.is_file()}
    lost = min(known)
    lost.unlink()
    shutil.rmtree("/run/cni/cnipy/tables")
    cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id="three")
    found = {path: path.read_bytes() for path in room.rglob("*") if path.is_file()}
    assert len(found) == len(known) + 2
    assert {path: found[path] for path in known if path != lost} == {
        path: text for path, text in known.items() if path != lost
    }
    assert json.loads(found[lost])["container_id"] in {"one", "two"}
    for name in ("one", "two", "three"):
        assert masqueraded() == ["subnet 10.1.2.0/24", "subnet 10.1.3.0/24"]
        cni.ok("bridge", "DEL", wanted, container_id=name)
    assert masqueraded() == []
