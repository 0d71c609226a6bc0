# SPDX-License-Identifier: Apache-2.0
"""dhcp leases an address, keeps it, and gives it back, in a real network."""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.dhcp.helpers import (
    CONF,
    Keeper,
    Lan,
    addresses,
    conf,
    recorded,
    until,
)
from netns.dhcp.scripted import DISCOVER, REQUEST, Scripted, decent

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def lease(cni: Cni, space: Space, document: Any = CONF, **options: Any) -> Any:
    """Return the result of ADD."""
    return cni.ok("dhcp", "ADD", document, netns=space, **options)


def test_address_is_leased_and_given_back(lan: Lan, keeper: Keeper, cni: Cni) -> None:
    """The server has the lease on record from ADD to DEL; CHECK holds in between."""
    del keeper
    lan.serve("--dhcp-option=option:router,10.77.0.1", "--dhcp-option=6,10.77.0.5")
    space = lan.container()
    result = lease(cni, space)
    (address,) = addresses(result)
    (shown,) = space.ip("link", "show", "eth0")
    assert lan.leased() == {address.partition("/")[0]: shown["address"]}
    assert address.endswith("/24")
    assert result["ips"][0]["gateway"] == "10.77.0.1"
    assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.77.0.1"}]
    assert result["dns"]["nameservers"] == ["10.77.0.5"]
    cni.ok("dhcp", "CHECK", {**CONF, "prevResult": result}, netns=space)
    assert lease(cni, space) == result
    cni.ok("dhcp", "DEL", CONF, netns=space)
    until(lambda: not lan.leased())
    until(lambda: recorded() == [])
    told = cni.refused("dhcp", "CHECK", {**CONF, "prevResult": result}, netns=space)
    assert "has none" in told["msg"]
    cni.ok("dhcp", "DEL", CONF, netns=space)


def test_a_network_without_a_server_leaves_nothing(
    lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """ADD ends within its timeout with an error that says so."""
    del keeper
    space = lan.container()
    began = time.monotonic()
    error = cni.refused("dhcp", "ADD", conf(timeout=1), netns=space)
    assert time.monotonic() - began < 10
    assert error["code"] == 11
    assert error["msg"] == "lease address for eth0: no server answered"
    until(lambda: recorded() == [])


def test_without_a_keeper_the_way_out_is_told(host: Host, cni: Cni) -> None:
    """ADD and STATUS say how to start it; DEL and GC have nothing to do."""
    space = host.space()
    error = cni.refused("dhcp", "ADD", CONF, netns=space)
    assert error["code"] == 11
    assert "no such file" in error["msg"]
    assert "start `cnipy dhcp`" in error["details"]
    assert cni.refused("dhcp", "STATUS", CONF)["code"] == 50
    cni.ok("dhcp", "DEL", CONF, netns=space)
    cni.ok("dhcp", "GC", {**CONF, "cni.dev/valid-attachments": []})


def test_keeper_that_listens_is_ready(keeper: Keeper, cni: Cni) -> None:
    """STATUS succeeds, whatever the network is like."""
    del keeper
    cni.ok("dhcp", "STATUS", CONF)


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_same_address_after_the_keeper_was_away(
    lan: Lan, keeper: Keeper, cni: Cni, ending: str
) -> None:
    """The next keeper asks for the address again (INIT-REBOOT), and is confirmed."""
    lan.serve()
    space = lan.container()
    result = lease(cni, space)
    (address,) = addresses(result)
    getattr(keeper, ending)()
    assert list(lan.leased()) == [address.partition("/")[0]]
    before = lan.log().count("DHCPACK")
    keeper.start()
    until(lambda: lan.log().count("DHCPACK") > before, 1)
    assert lan.log().count("DHCPDISCOVER") == 1
    assert lease(cni, space) == result
    cni.ok("dhcp", "CHECK", {**CONF, "prevResult": result}, netns=space)


def test_delete_while_the_keeper_is_away(lan: Lan, keeper: Keeper, cni: Cni) -> None:
    """DEL succeeds, and the lease is given back when a keeper is there again."""
    lan.serve()
    space = lan.container()
    lease(cni, space)
    keeper.kill()
    cni.ok("dhcp", "DEL", CONF, netns=space)
    assert len(lan.leased()) == 1
    keeper.start()
    until(lambda: not lan.leased())
    until(lambda: recorded() == [])


@pytest.mark.parametrize("verb", ["ADD", "CHECK", "DEL", "STATUS"])
def test_keeper_that_dies_in_the_midst_of_a_call_is_asked_again(
    lan: Lan, keeper: Keeper, cni: Cni, verb: str
) -> None:
    """A runtime does not hear of it: the next keeper answers, as the first would."""
    lan.serve()
    space = lan.container()
    result = lease(cni, space)
    document = {**CONF, "prevResult": result} if verb == "CHECK" else CONF
    with ThreadPoolExecutor(1) as worker:
        with keeper.called_in_vain():
            call = worker.submit(cni.ok, "dhcp", verb, document, netns=space)
        keeper.start()
        answer = call.result()
    assert answer == (result if verb == "ADD" else None)
    until(lambda: bool(recorded()) == (verb != "DEL"))
    until(lambda: bool(lan.leased()) == (verb != "DEL"))


def test_delete_by_a_keeper_that_does_not_come_back(
    lan: Lan, keeper: Keeper, cni: Cni, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEL succeeds nevertheless, and the next one gives back what the last had."""
    lan.serve()
    space = lan.container()
    lease(cni, space)
    monkeypatch.setattr("plugins.dhcp.detach._PATIENCE", 2)
    with ThreadPoolExecutor(1) as worker:
        with keeper.called_in_vain():
            call = worker.submit(cni.ok, "dhcp", "DEL", CONF, netns=space)
        call.result()
    assert [each["state"] for each in recorded()] == ["ending"]
    keeper.start()
    until(lambda: not lan.leased())
    until(lambda: recorded() == [])


def test_collected_lease_is_given_back(lan: Lan, keeper: Keeper, cni: Cni) -> None:
    """GC releases what no valid attachment has, and nothing else."""
    del keeper
    lan.serve()
    spaces = [lan.container(), lan.container()]
    kept, _ = (
        lease(cni, space, container_id=f"c{number}")
        for number, space in enumerate(spaces)
    )
    valid = [{"containerID": "c0", "ifname": "eth0"}]
    cni.ok("dhcp", "GC", {**CONF, "cni.dev/valid-attachments": valid})
    until(lambda: len(lan.leased()) == 1)
    assert list(lan.leased()) == [addresses(kept)[0].partition("/")[0]]


def test_lease_of_a_dead_namespace_is_given_back(
    lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """Nobody calls DEL; the server hears of it by the host's own link."""
    run("ip", "addr", "add", "10.77.0.2/24", "dev", "br0")
    lan.serve()
    space = lan.container()
    lease(cni, space)
    space.delete()
    until(lambda: not lan.leased(), 20)
    until(lambda: recorded() == [])
    assert "its network namespace is gone" in keeper.said()


def test_lease_of_a_namespace_that_a_process_has_is_kept(
    lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """A name that is unmounted says nothing while the container runs."""
    del keeper
    lan.serve()
    space = lan.container()
    lease(cni, space)
    with subprocess.Popen(
        ["ip", "netns", "exec", space.name, "sleep", "60"]
    ) as process:
        until(lambda: os.stat(space.path).st_ino == _inode(process.pid))
        space.delete()
        time.sleep(12)
        assert len(lan.leased()) == 1
        process.kill()


def _inode(pid: int) -> int:
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def test_lease_is_renewed_by_its_server(lan: Lan, keeper: Keeper, cni: Cni) -> None:
    """Half of its time before the end it is asked for again, by unicast, once."""
    del keeper
    times = {"lease": 60, "first": 1, "second": 50}
    with Scripted(lan.server, decent("10.77.0.1", "10.77.0.100", **times)) as server:
        lease(cni, lan.container())
        until(lambda: len(server.heard) > 3)
        assert server.kinds()[:4] == [DISCOVER, REQUEST, REQUEST, REQUEST]
        first, second = server.heard[2:4]
    assert (first.source, first.mine) == ("10.77.0.100", "10.77.0.100")
    assert {50, 54}.isdisjoint(first.options)
    assert second.at - first.at > 0.9
    assert recorded()[0]["state"] == "held"


def test_lease_is_rebound_by_another_server(lan: Lan, keeper: Keeper, cni: Cni) -> None:
    """Where its own one is silent, everybody is asked."""
    del keeper
    times = {"lease": 60, "first": 1, "second": 2}
    with Scripted(lan.server, decent("10.77.0.1", "10.77.0.100", **times)):
        lease(cni, lan.container())
    with Scripted(lan.server, decent("10.77.0.9", "10.77.0.100")) as server:
        until(lambda: recorded()[0]["grant"]["server"] == "10.77.0.9", 20)
        assert set(server.kinds()) == {REQUEST}
    assert recorded()[0]["grant"]["address"] == "10.77.0.100/24"


def test_lease_that_nobody_renews_is_lost_and_got_back(
    lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """CHECK says that it has ended, until a server gives the address again."""
    space = lan.container()
    times = {"lease": 4, "first": 1, "second": 2}
    with Scripted(lan.server, decent("10.77.0.1", "10.77.0.100", **times)):
        result = lease(cni, space)
    document = {**CONF, "prevResult": result}
    until(lambda: recorded()[0]["state"] == "lost", 20)
    assert "lost 10.77.0.100" in keeper.said()
    error = cni.refused("dhcp", "CHECK", document, netns=space)
    assert error["msg"].startswith("check lease of 10.77.0.100: ")
    with Scripted(lan.server, decent("10.77.0.1", "10.77.0.100")):
        until(lambda: recorded()[0]["state"] == "held", 20)
    cni.ok("dhcp", "CHECK", document, netns=space)


def test_refused_lease_is_told_and_asked_for_again(
    lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """After a NAK CHECK says so, until the server gives the same address again."""
    lan.serve("--dhcp-option=58,2", lease="2m")
    space = lan.container()
    result = lease(cni, space)
    address = addresses(result)[0].partition("/")[0]
    lan.forget()
    run("ip", "-n", lan.server.name, "addr", "add", "10.78.0.1/24", "dev", "eth0")
    run("ip", "-n", lan.server.name, "addr", "del", "10.77.0.1/24", "dev", "eth0")
    lan.subnet = "10.78.0"
    lan.serve()
    keeper.kill()
    keeper.start()
    until(lambda: recorded()[0]["state"] == "lost", 20)
    document = {**CONF, "prevResult": result}
    error = cni.refused("dhcp", "CHECK", document, netns=space)
    assert address in error["msg"]
    assert f"lost {address}" in keeper.said()
    lan.forget()
    run("ip", "-n", lan.server.name, "addr", "add", "10.77.0.1/24", "dev", "eth0")
    run("ip", "-n", lan.server.name, "addr", "del", "10.78.0.1/24", "dev", "eth0")
    lan.subnet = "10.77.0"
    lan.serve()
    until(lambda: recorded()[0]["state"] == "held", 30)
    cni.ok("dhcp", "CHECK", document, netns=space)
