# SPDX-License-Identifier: Apache-2.0
"""dnsname: what containers find out by asking a real dnsmasq."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from lab import run
from netns.dnsname.helpers import (
    AAAA,
    GATEWAY,
    GATEWAY6,
    HTTPS,
    NXDOMAIN,
    PTR,
    TXT,
    A,
    Names,
    Reply,
    ask,
    pid,
    resolved,
    reverse,
    upstream,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("at", (GATEWAY, GATEWAY6))
@pytest.mark.parametrize(
    "name", ("web", "web.dns.podman", "WEB.Dns.Podman", "www", "www.dns.podman")
)
def test_neighbour_is_found(node: Names, at: str, name: str) -> None:
    """By name and alias, with and without domain, in any case, by both families."""
    web = node.attach("c1", "web", aliases=["www"])
    other = node.attach("c2", "db")
    for asking in (web, other):
        assert asking.ask(name, at=at) == Reply(0, [web.address])
        assert asking.ask(name, AAAA, at) == Reply(0, [web.address6])


def test_c_library_finds_and_reaches_the_neighbour(node: Names) -> None:
    """With the result's resolv.conf getent finds both addresses, and they answer."""
    web = node.attach("c1", "web", aliases=["www"])
    other = node.attach("c2", "db")
    for name in ("web", "www", "www.dns.podman"):
        assert resolved(other, name) == sorted([web.address, web.address6])
    assert other.space.reaches(web.address)


def test_addresses_lead_back_to_names(node: Names) -> None:
    """The name of an address is the container's own, with the domain."""
    web = node.attach("c1", "web", aliases=["www"])
    for address in (web.address, web.address6):
        assert web.ask(reverse(address), PTR) == Reply(0, ["web.dns.podman"])


@pytest.mark.parametrize("kind", [A, AAAA, TXT, HTTPS])
def test_unknown_names_are_answered_at_once(node: Names, kind: int) -> None:
    """A name that nobody has does not exist; nobody outside is asked for it."""
    node.host.outside()
    web = node.attach("c1", "web", remoteServers=["198.51.100.2"])
    for name in ("nobody", "nobody.dns.podman"):
        assert web.ask(name, kind) == Reply(NXDOMAIN, [])


@pytest.mark.parametrize("name", ["web", "web.dns.podman"])
def test_other_types_of_known_names_are_ours(node: Names, name: str) -> None:
    """A browser's HTTPS question for a container is answered here: with nothing."""
    node.host.outside()
    web = node.attach("c1", "web", remoteServers=["198.51.100.2"])
    for kind in (TXT, HTTPS):
        assert web.ask(name, kind) == Reply(0, [])


def test_shared_name_gives_every_container(node: Names) -> None:
    """Two containers with one name are both found; without one, the other stays."""
    one = node.attach("c1", "one", aliases=["pool"])
    two = node.attach("c2", "two", aliases=["pool"])
    found = sorted([one.address, two.address])
    assert one.ask("pool") == Reply(0, found)
    firsts = {resolved(two, "pool", "hosts")[0] for _ in range(3)}
    assert firsts <= {one.address6, two.address6}
    node.call("DEL", one)
    assert two.ask("pool") == Reply(0, [two.address])
    assert two.ask("pool", AAAA) == Reply(0, [two.address6])


def test_forty_containers_share_a_name(node: Names) -> None:
    """An answer that does not fit into a datagram is no obstacle to ADD, nor to DEL."""
    planned = [node.plan(f"c{number}", "pool") for number in range(40)]
    for it in planned:
        node.call("ADD", it)
    node.call("CHECK", planned[-1])
    for it in planned[:-1]:
        node.call("DEL", it)
    assert planned[-1].ask("pool") == Reply(0, [planned[-1].address])


def test_networks_do_not_know_each_other(node: Names) -> None:
    """Each network has its names; the other's server does not answer a container."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}]]}
    bridge = {"bridge": "br7", "ipam": ipam}
    one = node.attach("c1", "web")
    two = node.attach("c2", "web", name="other", bridge=bridge, domainName="seven")
    assert one.ask("web") == Reply(0, [one.address])
    assert two.ask("web", at="10.7.0.1") == Reply(0, [two.address])
    assert two.ask("web.seven", at="10.7.0.1") == Reply(0, [two.address])
    assert pid() != pid("other")
    two.space.run("ip", "route", "add", "default", "via", "10.7.0.1")
    with two.space.entered(), pytest.raises(TimeoutError):
        ask("web", at=GATEWAY, seconds=0.3)


def test_outside_gets_no_answer(node: Names) -> None:
    """A machine beyond the uplink that sends questions here is not served."""
    outside = node.host.outside()
    web = node.attach("c1", "web")
    outside.run("ip", "route", "add", "10.1.2.0/24", "via", "198.51.100.1")
    assert outside.reaches(web.address)
    with outside.entered(), pytest.raises(TimeoutError):
        ask("web", at=GATEWAY, seconds=0.3)


def test_other_names_are_asked_from_remote_servers(node: Names) -> None:
    """What is not ours comes from remoteServers, private addresses included."""
    upstream(node.host, www="10.20.30.40")
    web = node.attach("c1", "web", remoteServers=["198.51.100.2"])
    assert web.ask("www.example.org") == Reply(0, ["10.20.30.40"])
    assert web.ask("web") == Reply(0, [web.address])


def test_other_names_are_asked_where_the_host_asks(node: Names, tmp_path: Path) -> None:
    """Without remoteServers the host's resolv.conf counts, also when it changes."""
    upstream(node.host, www="203.0.113.80")
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 198.51.100.2\n")
    tmp_path.chmod(0o755)
    run("mount", "--bind", str(path), "/etc/resolv.conf")
    try:
        web = node.attach("c1", "web")
        assert web.ask("www.example.org") == Reply(0, ["203.0.113.80"])
        assert web.ask("web.dns.podman") == Reply(0, [web.address])
    finally:
        run("umount", "/etc/resolv.conf")


def test_no_question_is_lost_while_containers_come_and_go(node: Names) -> None:
    """Through 20 ADDs and DELs of others every question is answered, and rightly."""
    web = node.attach("c1", "web")
    planned = [node.plan(f"d{number}", f"db{number}") for number in range(20)]
    asked, wrong, stop = [0], [], threading.Event()

    def keep_asking() -> None:
        with web.space.entered():
            while not stop.is_set():
                asked[0] += 1
                reply = ask("web", seconds=2.0)
                if reply != Reply(0, [web.address]):
                    wrong.append(reply)

    thread = threading.Thread(target=keep_asking)
    thread.start()
    try:
        for it in planned:
            node.call("ADD", it)
        for it in planned:
            node.call("DEL", it)
    finally:
        stop.set()
        thread.join()
    assert wrong == []
    assert asked[0] > 20


def test_name_is_there_when_add_returns_and_gone_when_del_does(node: Names) -> None:
    """The first question after ADD finds the name, the first after DEL does not."""
    web = node.attach("c1", "web")
    planned = node.plan("c2", "db")
    for _ in range(20):
        node.call("ADD", planned)
        assert web.ask("db") == Reply(0, [planned.address])
        node.call("DEL", planned)
        assert web.ask("db") == Reply(NXDOMAIN, [])


def test_dnsmasq_that_misses_the_event_is_told(node: Names) -> None:
    """When no event comes, as with an old dnsmasq on removal, SIGHUP does the same."""
    web = node.attach("c1", "web")
    hosts = "/run/cni/cnipy/dnsname-servers/net/hosts"
    run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", hosts)
    try:
        planned = node.plan("c2", "db")
        node.call("ADD", planned)
        assert web.ask("db") == Reply(0, [planned.address])
    finally:
        run("umount", hosts)
    node.call("DEL", planned)
    assert web.ask("db") == Reply(NXDOMAIN, [])


def test_dnsmasq_works_without_privileges(node: Names) -> None:
    """It is not root, may bind low ports and nothing else, and holds no stream."""
    node.attach("c1", "web")
    number = pid()
    with open(f"/proc/{number}/status") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines())
    held = {os.readlink(f"/proc/{number}/fd/{fd}") for fd in (0, 1, 2)}
    assert "0" not in status["Uid"].split()
    assert int(status["CapEff"], 16) & ~(1 << 10) == 0
    assert held == {"/dev/null"}


def test_without_a_domain_bare_names_are_served(node: Names) -> None:
    """domainName may be left out: names stand by themselves, and none is searched."""
    web = node.attach("c1", "web", domainName=None)
    assert web.ask("web") == Reply(0, [web.address])
    assert web.ask(reverse(web.address), PTR) == Reply(0, ["web"])
    assert "search" not in web.result["dns"]


def test_container_without_a_name_can_ask(node: Names) -> None:
    """Without K8S_POD_NAME there is no name, but the neighbours' are found."""
    web = node.attach("c1", "web")
    nameless = node.attach("c2")
    node.call("CHECK", nameless)
    assert nameless.ask("web") == Reply(0, [web.address])
    assert nameless.result["dns"]["nameservers"] == [GATEWAY, GATEWAY6]


def test_own_name_that_is_none_is_left_out(node: Names) -> None:
    """A runtime's name that DNS does not take costs the name, not the container."""
    web = node.attach("c1", "web-", aliases=["www"])
    assert web.ask("www") == Reply(0, [web.address])
    assert web.ask("web-") == Reply(NXDOMAIN, [])


def test_aliases_are_those_of_the_network(node: Names) -> None:
    """runtimeConfig may list other networks; their aliases are theirs."""
    planned = node.plan("c1", "web")
    aliases = {"net": ["here"], "other": ["there"], "third": None}
    planned.conf["runtimeConfig"] = {"aliases": aliases}
    node.call("ADD", planned)
    assert planned.ask("here") == Reply(0, [planned.address])
    assert planned.ask("there") == Reply(NXDOMAIN, [])


def test_every_address_of_a_family_is_found(node: Names) -> None:
    """A container with two IPv4 addresses is found by both."""
    ranges = [[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.1.3.0/24"}]]
    ipam = {"type": "host-local", "ranges": ranges}
    web = node.attach("c1", "web", bridge={"ipam": ipam})
    found = [ip["address"].split("/")[0] for ip in web.result["ips"]]
    assert len(found) == 2
    assert web.result["dns"]["nameservers"] == [GATEWAY, "10.1.3.1"]
    for at in web.result["dns"]["nameservers"]:
        assert web.ask("web", at=at) == Reply(0, found)


def test_address_that_needs_a_link_is_not_answered(node: Names) -> None:
    """An address that a neighbour cannot use is not given to one."""
    web = node.plan("c1", "web")
    useless = [{"address": a, "interface": 2} for a in ("fe80::7/64", "127.0.0.1/8")]
    web.conf["prevResult"]["ips"] += useless
    node.call("ADD", web)
    assert web.ask("web") == Reply(0, [web.address])
    assert web.ask("web", AAAA) == Reply(0, [web.address6])
