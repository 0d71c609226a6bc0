# SPDX-License-Identifier: Apache-2.0
"""IPv6 addresses that a server leases, each kept by a dhcpcd of the container's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import need, run
from netns.dhcp.helpers import CONF, Keeper, Lan, conf, recorded, until
from warm_server import wait_until

from cni_common.living_spaces import Spaces

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Cni, Space

ROUTER = "fd00:77::1"
STATE = Path("/run/cni/cnipy")
IPV6: dict[str, Any] = conf(ipv4=False, dhcpv6=True)


@pytest.fixture
def lan6(lan: Lan) -> Lan:
    """A network with a server of both families, which is a router of IPv6."""
    need("dhcpcd")
    at = ("-n", lan.server.name, "addr", "add", f"{ROUTER}/64", "dev", "eth0", "nodad")
    run("ip", *at)
    lan.server.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    serve(lan)
    return lan


def serve(lan: Lan) -> None:
    """Have dnsmasq lease addresses of both families."""
    lan.serve(
        "--enable-ra",
        "--dhcp-range=fd00:77::100,fd00:77::1ff,64,1h",
        "--dhcp-option=option6:dns-server,[fd00:77::53]",
        "--dhcp-option=option6:domain-search,lab.example.org,example.org",
    )


def leased(lan: Lan) -> set[str]:
    """Return the addresses of IPv6 that the server has on record."""
    return {address for address in lan.leased() if ":" in address}


def dhcpcds() -> set[int]:
    """Return the processes of dhcpcd in network namespaces of tests, ours not."""
    found = set()
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text() == "dhcpcd\n" and _is_alive(comm.parent):
                found.add(int(comm.parent.name))
        except OSError:
            continue
    return found


def _is_alive(process: Path) -> bool:
    return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"


def in_space(space: Space) -> set[int]:
    """Return those in the namespace of a container."""
    inode = os.stat(space.path).st_ino
    found = set()
    for pid in dhcpcds():
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino == inode:
                found.add(pid)
        except OSError:
            continue
    return found


def left() -> list[Path]:
    """Return what is written down for dhcpcd."""
    return [p for room in ("dhcpcd", "dhcpv6") for p in (STATE / room).rglob("*")]


def of_container(space: Space) -> list[dict[str, Any]]:
    """Return the leased addresses as the kernel shows them."""
    (shown,) = space.ip("addr", "show", "eth0")
    return [a for a in shown["addr_info"] if a["local"].startswith("fd00:77::")]


@pytest.mark.parametrize("both", [True, False])
def test_address_is_leased_and_given_back(
    lan6: Lan, keeper: Keeper, cni: Cni, *, both: bool
) -> None:
    """Beside IPv4 or alone; the address has the lease's time, and goes with DEL."""
    if not both:
        keeper.kill()
    space = lan6.host.space()
    ipam = {"type": "dhcp", "dhcpv6": True, "ipv4": both}
    document = {**CONF, "type": "bridge", "bridge": "br0", "ipam": ipam}
    result = cni.ok("bridge", "ADD", document, netns=space)
    (found,) = of_container(space)
    assert result["ips"][-1]["address"] == f"{found['local']}/128"
    assert len(result["ips"]) == 1 + both
    assert found["dynamic"]
    assert found["valid_life_time"] <= 3600
    assert leased(lan6) == {found["local"]}
    assert result["dns"]["nameservers"][-1] == "fd00:77::53"
    assert result["dns"]["search"] == ["lab.example.org", "example.org"]
    wait_until(lambda: space.reaches(ROUTER))  # its neighbours may be asked twice
    cni.ok("bridge", "CHECK", {**document, "prevResult": result}, netns=space)
    before = in_space(space)
    assert cni.ok("bridge", "ADD", document, netns=space) == result
    assert in_space(space) == before
    cni.ok("bridge", "DEL", document, netns=space)
    until(lambda: not lan6.leased() and recorded() == [])
    assert not in_space(space)
    assert left() == []


def test_containers_with_links_of_one_name_have_a_lease_each(
    lan6: Lan, cni: Cni
) -> None:
    """And each gets the same address again: it is known by its name, not by its MAC."""
    spaces = {f"c{number}": lan6.container() for number in range(2)}
    given = {}
    for name, space in spaces.items():
        result = cni.ok("dhcp", "ADD", IPV6, netns=space, container_id=name)
        given[name] = result["ips"][0]["address"].partition("/")[0]
    assert leased(lan6) == set(given.values())
    assert len(set(given.values())) == 2
    cni.ok("dhcp", "DEL", IPV6, netns=spaces["c0"], container_id="c0")
    until(lambda: leased(lan6) == {given["c1"]})
    assert in_space(spaces["c1"])
    again = lan6.container()
    result = cni.ok("dhcp", "ADD", IPV6, netns=again, container_id="c0")
    assert result["ips"][0]["address"] == f"{given['c0']}/128"
    for name, space in (("c0", again), ("c1", spaces["c1"])):
        cni.ok("dhcp", "DEL", IPV6, netns=space, container_id=name)


def test_lease_whose_dhcpcd_died_is_told_and_got_back(lan6: Lan, cni: Cni) -> None:
    """CHECK says so; the same ADD has it kept again."""
    space = lan6.container()
    result = cni.ok("dhcp", "ADD", IPV6, netns=space)
    document = {**IPV6, "prevResult": result}
    for pid in in_space(space):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not in_space(space))
    error = cni.refused("dhcp", "CHECK", document, netns=space)
    assert error["msg"] == (
        "check IPv6 lease of container c1 interface eth0 on lan: no dhcpcd keeps one"
    )
    assert cni.ok("dhcp", "ADD", IPV6, netns=space) == result
    cni.ok("dhcp", "CHECK", document, netns=space)
    cni.ok("dhcp", "DEL", IPV6, netns=space)


LOSSES: dict[str, Callable[[], object]] = {
    "damaged": lambda: (STATE / "dhcpv6/lan/c1@eth0").write_text("{"),
    "record": (STATE / "dhcpv6/lan/c1@eth0").unlink,
    "files": lambda: shutil.rmtree(STATE / "dhcpcd"),
    "all": lambda: shutil.rmtree(STATE),
}


@pytest.mark.parametrize("lost", LOSSES)
@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_lease_of_which_no_file_tells_is_given_back(
    lan6: Lan, cni: Cni, lost: str, verb: str
) -> None:
    """By DEL, and by another ADD, which has its own again."""
    space, other = lan6.container(), lan6.container()
    result = cni.ok("dhcp", "ADD", IPV6, netns=space, container_id="c1")
    cni.ok("dhcp", "ADD", IPV6, netns=other, container_id="c2")
    before = in_space(space)
    kept = leased(lan6) - {result["ips"][0]["address"].partition("/")[0]}
    LOSSES[lost]()
    if verb == "ADD":
        again = cni.ok("dhcp", "ADD", IPV6, netns=space, container_id="c1")
        assert again["ips"] == result["ips"]
        until(lambda: not before & dhcpcds())
    cni.ok("dhcp", "DEL", IPV6, netns=space, container_id="c1")
    until(lambda: leased(lan6) == kept)
    until(lambda: not in_space(space))
    assert in_space(other)
    cni.ok("dhcp", "DEL", IPV6, netns=other, container_id="c2")
    until(lambda: not leased(lan6))
    assert left() == []


def test_no_server_is_an_error_and_leaves_nothing(lan6: Lan, cni: Cni) -> None:
    """ADD ends in time."""
    lan6.silence()
    space = lan6.container()
    document = conf(ipv4=False, dhcpv6=True, timeout=2)
    error = cni.refused("dhcp", "ADD", document, netns=space)
    assert error["code"] == 11
    assert error["msg"] == "lease IPv6 address for eth0: no server answered"
    assert not in_space(space)
    assert left() == []


def test_without_the_program_its_package_is_named(
    lan: Lan, cni: Cni, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ADD and STATUS fail with that, and nothing is changed."""
    monkeypatch.setattr("cni_common.programs.DIRECTORIES", ())
    space = lan.container()
    env = {"PATH": "/nowhere"}
    error = cni.refused("dhcp", "ADD", IPV6, netns=space, env=env)
    assert error["msg"] == "find dhcpcd: not installed"
    assert error["details"] == "install the package dhcpcd-base, or dhcpcd"
    assert left() == []
    told = cni.refused("dhcp", "STATUS", IPV6, env=env)
    assert (told["code"], told["msg"]) == (50, error["msg"])


def test_collected_lease_is_given_back(lan6: Lan, cni: Cni) -> None:
    """GC ends the dhcpcd of what no valid attachment has."""
    space = lan6.container()
    cni.ok("dhcp", "ADD", IPV6, netns=space)
    cni.ok("dhcp", "GC", {**IPV6, "cni.dev/valid-attachments": []})
    until(lambda: not leased(lan6))
    assert not in_space(space)
    assert left() == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_dhcpcd_of_another_file_system_is_none_of_ours(
    lan6: Lan, cni: Cni, *, elsewhere: bool
) -> None:
    """Another runtime's state, of an attachment of one name, is in another /run."""
    cni.ok("dhcp", "ADD", IPV6, netns=lan6.container())
    (directory,) = Path("/run/cni/cnipy/dhcpcd").iterdir()
    mount = "mount -t tmpfs tmpfs /run/cni;" if elsewhere else ""
    look = (
        "import sys; from plugins.dhcp.dhcpcd import found; print(found(sys.argv[1]))"
    )
    inside = ("unshare", "-m", "--propagation", "private", "sh", "-c")
    found = run(
        *inside, f'{mount} exec "$@"', "sh", sys.executable, "-c", look, str(directory)
    )
    assert (json.loads(found) == []) == elsewhere


def test_dhcpcd_alone_keeps_no_container_alive(lan6: Lan, cni: Cni) -> None:
    """Who looks for the dead, as `cnipy gc` does, counts it as no life."""
    space = lan6.container()
    cni.ok("dhcp", "ADD", IPV6, netns=space)
    status = os.stat(space.path)
    identity = f"{status.st_dev}:{status.st_ino}"
    assert Spaces().holder(identity) == space.path
    kept = in_space(space)
    space.delete()
    assert Spaces().holder(identity) == ""
    assert kept <= dhcpcds()
    cni.ok("dhcp", "GC", {**IPV6, "cni.dev/valid-attachments": []})
    until(lambda: not kept & dhcpcds())
    assert not leased(lan6)
    assert left() == []
