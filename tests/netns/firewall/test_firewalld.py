# SPDX-License-Identifier: Apache-2.0
"""Zone sources in a real firewalld, on a bus of its own in the test's namespaces."""

from __future__ import annotations

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING, Any

import private_firewalld
import pytest
from lab import PATIENCE, reaches
from netns.bridge.helpers import DUAL, conf
from netns.portmap.helpers import ask_from, serving
from pictures import files, picture
from private_firewalld import Firewalld, stopped

from cni_common import firewalld, system_bus
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Cni, Host, Space

FOUR, SIX = ip_address("10.1.2.3"), ip_address("fd00::3")
OTHERS = [ip_address(f"10.1.3.{number}") for number in range(1, 17)]


@pytest.fixture
def bus(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[subprocess.Popen[bytes]]:
    """A system bus at its usual place, in the /run of the tests."""
    del host
    monkeypatch.delenv(system_bus.ADDRESS, raising=False)
    with private_firewalld.system_bus(tmp_path) as process:
        yield process


@pytest.fixture
def firewall(
    bus: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Firewalld]:
    """firewalld in the test's network namespace."""
    del bus
    monkeypatch.setattr(firewalld, "SECONDS", firewalld.SECONDS * PATIENCE)
    with private_firewalld.running(tmp_path) as process:
        yield process


def refusal(method: object, *arguments: object) -> tuple[int, str]:
    """Return code and message of a call that must fail."""
    assert callable(method)
    with pytest.raises(CNIError) as caught:
        method(*arguments)
    return caught.value.code, caught.value.msg


def test_sources_appear_and_vanish(firewall: Firewalld) -> None:
    """Each is there after add and gone after remove, and repeating either is fine."""
    assert firewalld.is_running()
    for _ in range(2):
        firewalld.add_member("trusted", FOUR)
        firewalld.add_member("trusted", SIX)
        assert firewall.bindings() == ["sources: 10.1.2.3/32 fd00::3/128"]
        assert firewalld.has_member("trusted", FOUR)
        assert not firewalld.has_member("public", FOUR)
    for _ in range(2):
        firewalld.remove_member("trusted", FOUR)
        assert firewall.sources() == {"fd00::3/128"}
        assert not firewalld.has_member("trusted", FOUR)
    firewalld.remove_member("trusted", SIX)
    assert firewall.bindings() == []


def test_sources_are_not_permanent(firewall: Firewalld) -> None:
    """What a container needs is not written to the administrator's configuration."""
    firewalld.add_member("trusted", FOUR)
    permanent = firewall.command("--permanent", "--zone=trusted", "--list-sources")
    assert permanent == ""


def test_unknown_zone_is_named(firewall: Firewalld) -> None:
    """ADD and CHECK get firewalld's words; DEL finds nothing to remove."""
    code, msg = refusal(firewalld.add_member, "nowhere", FOUR)
    assert code == 999
    expected = "add source 10.1.2.3/32 to firewalld zone nowhere: INVALID_ZONE: nowhere"
    assert msg == expected
    expected = "look for source 10.1.2.3/32 in firewalld zone nowhere: INVALID_ZONE:"
    _, msg = refusal(firewalld.has_member, "nowhere", FOUR)
    assert msg.startswith(expected)
    firewalld.remove_member("nowhere", FOUR)
    assert firewall.bindings() == []


def test_source_of_another_zone_is_left_there(firewall: Firewalld) -> None:
    """An address that the administrator put elsewhere is neither moved nor removed."""
    firewall.command("--zone=drop", "--add-source=10.1.2.3/32")
    code, msg = refusal(firewalld.add_member, "trusted", FOUR)
    assert code == 999
    assert "ZONE_CONFLICT: '10.1.2.3/32' already bound to a zone" in msg
    firewalld.remove_member("trusted", FOUR)
    assert firewall.sources("drop") == {"10.1.2.3/32"}


@pytest.mark.parametrize("how", ["restart", "reload"])
def test_new_start_forgets_sources(firewall: Firewalld, how: str) -> None:
    """Afterwards CHECK misses the source, DEL has no task, and ADD works again."""
    firewalld.add_member("trusted", FOUR)
    if how == "restart":
        firewall.restart()
    else:
        firewall.reload()
    assert firewalld.is_running()
    assert not firewalld.has_member("trusted", FOUR)
    firewalld.remove_member("trusted", FOUR)
    firewalld.add_member("trusted", FOUR)
    assert firewall.sources() == {"10.1.2.3/32"}


def test_sources_of_many_containers_at_once(firewall: Firewalld) -> None:
    """Every one of concurrent calls is carried out."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda address: firewalld.add_member("trusted", address), OTHERS))
        assert firewall.sources() == {f"{address}/32" for address in OTHERS}
        removed = OTHERS[:8]
        list(pool.map(lambda item: firewalld.remove_member("trusted", item), removed))
    assert firewall.sources() == {f"{address}/32" for address in OTHERS[8:]}


def test_source_lets_packets_through(
    firewall: Firewalld, cni: Cni, host: Host, container: Space
) -> None:
    """firewalld rejects what a container forwards, until its address is trusted."""
    outside = host.outside()
    wanted = conf(isDefaultGateway=True, ipMasq=True)
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    address = ip_address(result["ips"][0]["address"].partition("/")[0])
    assert not container.reaches("198.51.100.2")
    firewalld.add_member("trusted", address)
    assert container.reaches("198.51.100.2")
    outside.run("ip", "route", "add", "10.1.2.0/24", "via", "198.51.100.1")
    firewalld.remove_member("trusted", address)
    assert not container.reaches("198.51.100.2")
    assert firewall.sources() == set()


def test_without_firewalld_there_is_no_source(bus: subprocess.Popen[bytes]) -> None:
    """On a bus without it, it is not started: ADD fails, DEL succeeds."""
    assert bus.poll() is None
    assert not firewalld.is_running()
    assert not firewalld.has_member("trusted", FOUR)
    firewalld.remove_member("trusted", FOUR)
    code, msg = refusal(firewalld.add_member, "trusted", FOUR)
    assert code == 999
    expected = "add source 10.1.2.3/32 to firewalld zone trusted: Name"
    assert msg == f'{expected} "org.fedoraproject.FirewallD1" does not exist'


def test_firewalld_that_ended_takes_its_sources_along(firewall: Firewalld) -> None:
    """DEL succeeds after firewalld was stopped, its rules and sources with it."""
    firewalld.add_member("trusted", FOUR)
    private_firewalld.end(firewall.process)
    assert not firewalld.is_running()
    assert not firewalld.has_member("trusted", FOUR)
    firewalld.remove_member("trusted", FOUR)


@pytest.mark.parametrize("kind", ["nothing", "file", "stale"])
def test_without_a_bus_there_is_no_firewalld(
    host: Host, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """No socket, something else in its place, or one that nobody listens on."""
    del host
    monkeypatch.delenv(system_bus.ADDRESS, raising=False)
    os.makedirs("/run/dbus")
    try:
        if kind == "file":
            with open(system_bus.SOCKET, "w", encoding="utf-8"):
                pass
        if kind == "stale":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(system_bus.SOCKET)
        assert not firewalld.is_running()
        assert not firewalld.has_member("trusted", FOUR)
        firewalld.remove_member("trusted", FOUR)
        code, msg = refusal(firewalld.add_member, "trusted", FOUR)
    finally:
        if kind != "nothing":
            os.unlink(system_bus.SOCKET)
        os.rmdir("/run/dbus")
    cause = "no such file or directory" if kind == "nothing" else "connection refused"
    what = "add source 10.1.2.3/32 to firewalld zone trusted: connect to system bus"
    assert (code, msg) == (999, f"{what}: {cause}")


def test_firewalld_that_hangs_is_given_up(
    firewall: Firewalld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call waits longer than its limit, and what was asked may be asked again."""
    monkeypatch.setattr(firewalld, "SECONDS", 0.2)
    methods = (firewalld.add_member, firewalld.remove_member, firewalld.has_member)
    with stopped(firewall.process):
        assert firewalld.is_running()
        found = [refusal(method, "trusted", FOUR) for method in methods]
    for code, msg in found:
        assert code == 999
        assert msg.endswith("trusted: ask system bus: no answer within 0.2 s")
    monkeypatch.undo()
    firewalld.add_member("trusted", FOUR)
    assert firewall.sources() == {"10.1.2.3/32"}


def test_bus_that_hangs_is_given_up(
    bus: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether firewalld runs cannot be said then, and that is said."""
    monkeypatch.setattr(firewalld, "BUS_SECONDS", 0.2)
    with stopped(bus):
        code, msg = refusal(firewalld.is_running)
    assert (code, msg) == (999, "ask system bus: no answer within 0.2 s")
    assert not firewalld.is_running()


def test_firewalld_of_another_namespace_is_none(
    firewall: Firewalld, container: Space
) -> None:
    """The host's firewalld has no say in a network namespace that is not its own."""
    assert firewall.process.poll() is None
    assert firewalld.is_running()
    with container.entered():
        assert not firewalld.is_running()


def test_bus_may_be_elsewhere(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DBUS_SYSTEM_BUS_ADDRESS names it, an address without a listener before it."""
    del host
    place = f"{tmp_path}/elsewhere/bus"
    address = f"unix:path={tmp_path}/absent;unix:path={place}"
    monkeypatch.setenv(system_bus.ADDRESS, address)
    with private_firewalld.system_bus(tmp_path, place):
        assert not firewalld.is_running()
        monkeypatch.setenv(system_bus.ADDRESS, f"unix:path={place}")
        with private_firewalld.running(tmp_path) as firewall:
            monkeypatch.setenv(system_bus.ADDRESS, address)
            assert firewalld.is_running()
            firewalld.add_member("trusted", FOUR)
            monkeypatch.setenv(system_bus.ADDRESS, f"unix:path={place}")
            assert firewall.sources() == {"10.1.2.3/32"}


WANTED = conf(isDefaultGateway=True, ipMasq=True, ipam=DUAL)
OUTSIDE = ("198.51.100.2", "2001:db8:99::2")


class Chain:
    """A container behind bridge, portmap and firewall, as a runtime calls them."""

    def __init__(self, cni: Cni, container: Space, log: Path) -> None:
        self.cni, self.container, self.log = cni, container, log
        self.result: Any = None

    def conf(self, plugin: str, **keys: Any) -> dict[str, Any]:
        """Return what the runtime sends a plugin behind bridge."""
        named = {"cniVersion": "1.1.0", "name": "net", "type": plugin}
        return {**named, "prevResult": self.result, **keys}

    def attach(self, **keys: Any) -> None:
        """ADD, by bridge and firewall."""
        self.result = self.cni.ok("bridge", "ADD", WANTED, netns=self.container)
        self.firewall("ADD", backend="", logFile=str(self.log), **keys)

    def firewall(self, verb: str, **keys: Any) -> Any:
        """Call firewall, which must succeed."""
        wanted = self.conf("firewall", **keys)
        return self.cni.ok("firewall", verb, wanted, netns=self.container)

    def reached(self) -> list[bool]:
        """Tell for each address outside whether the container reaches it."""
        return [self.container.reaches(address) for address in OUTSIDE]

    @property
    def sources(self) -> set[str]:
        """The sources that stand for the container."""
        return {
            f"{address.ip}/{address.max_prefixlen}"
            for address in (ip_interface(ip["address"]) for ip in self.result["ips"])
        }


@pytest.fixture
def chain(cni: Cni, host: Host, container: Space, tmp_path: Path) -> Chain:
    """A container that is not attached yet, on a host with an outside."""
    host.outside()
    # A fresh uplink asks no neighbour over IPv6 before it has a link-local address.
    for address in OUTSIDE:
        assert any(reaches(address) for _ in range(5))
    return Chain(cni, container, tmp_path / "plugin.log")


def test_plugin_chooses_firewalld_where_it_runs(
    firewall: Firewalld, chain: Chain
) -> None:
    """Backend "" makes the addresses sources, the log says why, DEL takes them back."""
    chain.attach()
    call = json.loads(chain.log.read_text())
    texts = [event["text"] for event in call["events"]]
    assert texts == ["backend firewalld: firewalld is running"]
    assert firewall.sources() == chain.sources
    assert len(chain.sources) == 2
    assert chain.reached() == [True, True]
    chain.firewall("CHECK")
    for _ in range(2):
        chain.firewall("DEL")
        assert firewall.bindings() == []
    assert chain.reached() == [False, False]


def test_plugin_takes_the_zone_asked_for(firewall: Firewalld, chain: Chain) -> None:
    """DEL finds the zone of ADD, though the configuration names another by then."""
    firewall.command("--zone=internal", "--set-target=ACCEPT", "--permanent")
    firewall.reload()
    chain.attach(firewalldZone="internal")
    assert firewall.sources("internal") == chain.sources
    assert chain.reached() == [True, True]
    chain.firewall("DEL", firewalldZone="trusted")
    assert firewall.sources("internal") == set()


def test_plugin_refuses_a_zone_that_is_none(firewall: Firewalld, chain: Chain) -> None:
    """ADD fails with firewalld's words, and nothing of it is left."""
    chain.result = chain.cni.ok("bridge", "ADD", WANTED, netns=chain.container)
    before = picture(chain.container)
    wanted = chain.conf("firewall", firewalldZone="nowhere")
    error = chain.cni.refused("firewall", "ADD", wanted, netns=chain.container)
    assert error["code"] == 999
    assert error["msg"].endswith("to firewalld zone nowhere: INVALID_ZONE: nowhere")
    assert picture(chain.container) == before
    assert firewall.sources() == set()


def test_plugin_restores_what_a_reload_forgot(
    firewall: Firewalld, chain: Chain
) -> None:
    """CHECK names the source; DEL and ADD, as `podman network reload` does, mend it."""
    chain.attach()
    firewall.reload()
    assert chain.reached() == [False, False]
    wanted = chain.conf("firewall")
    error = chain.cni.refused("firewall", "CHECK", wanted, netns=chain.container)
    assert error["msg"].startswith("check firewall: missing source ")
    chain.firewall("DEL")
    chain.firewall("ADD")
    assert firewall.sources() == chain.sources
    assert chain.reached() == [True, True]


def test_plugin_deletes_after_firewalld_ended(
    firewall: Firewalld, chain: Chain
) -> None:
    """DEL succeeds, and a firewalld that starts later knows nothing of it."""
    chain.attach()
    private_firewalld.end(firewall.process)
    chain.firewall("DEL")
    assert not any(name.startswith("/run/cni/cnipy/firewall/net/") for name in files())
    firewall.start()
    assert firewall.sources() == set()


def test_plugin_collects_sources_of_containers_that_are_gone(
    firewall: Firewalld, chain: Chain
) -> None:
    """GC removes the sources of attachments that the runtime does not know."""
    chain.attach()
    valid = [{"containerID": "c1", "ifname": "eth0"}]
    chain.firewall("GC", **{"cni.dev/valid-attachments": valid})
    assert firewall.sources() == chain.sources
    chain.firewall("GC", **{"cni.dev/valid-attachments": []})
    assert firewall.sources() == set()


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8:99::1"])
def test_published_port_passes_firewalld(
    firewall: Firewalld, chain: Chain, host: Host, address: str
) -> None:
    """A client outside reaches a port that portmap leads to the container."""
    chain.attach()
    ports = {"portMappings": [{"hostPort": 8080, "containerPort": 80}]}
    wanted = chain.conf("portmap", runtimeConfig=ports)
    chain.cni.ok("portmap", "ADD", wanted, netns=chain.container)
    assert firewall.sources() == chain.sources
    outside = next(space for space in host.spaces if space is not chain.container)
    with serving(chain.container, "web"):
        answer = ask_from(outside, address, 8080)
    assert answer.startswith("web ")
