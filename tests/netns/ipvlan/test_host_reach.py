# SPDX-License-Identifier: Apache-2.0
"""hostReach: the host and its containers on an ipvlan talk to each other."""

from __future__ import annotations

import json
import socket
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.bridge.helpers import with_result
from netns.ipvlan.helpers import conf
from netns.macvlan.helpers import answers, names
from pictures import files, picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space

pytestmark = pytest.mark.needs_kernel("ipvlan")
HOST, HOST6 = "198.51.100.1", "2001:db8:99::1"
FIRST, FIRST6 = "198.51.100.100", "2001:db8:99::100"
SECOND = "198.51.100.101"
BOTH = [(HOST, FIRST), (HOST6, FIRST6)]
# Of another subnet than the host: no route of the container leads there by itself.
APART = {
    "type": "host-local",
    "ranges": [[{"subnet": "192.0.2.0/24"}], [{"subnet": "2001:db8:2::/64"}]],
}


@pytest.fixture
def outside(host: Host) -> Space:
    """A neighbour beyond the uplink eth0."""
    return host.outside()


def reach(**keys: Any) -> dict[str, Any]:
    """Return an ipvlan that the host reaches."""
    return conf(hostReach=True, **keys)


def seen(server: Space | None, address: str, client: Space | None) -> str:
    """Return from where `server` is spoken to, and spoke, when `client` connects."""
    with server.entered() if server else nullcontext():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = socket.create_server((address, 0), family=family)
    with listening, client.entered() if client else nullcontext():
        at = listening.getsockname()[:2]
        with socket.create_connection(at, timeout=5) as asking:
            answering, source = listening.accept()
            with answering:
                answering.sendall(b"x" * 4000)
                answering.shutdown(socket.SHUT_WR)
                assert len(asking.makefile("rb").read()) == 4000
    return str(source[0])


def host_links() -> list[dict[str, Any]]:
    """Return the ipvlan links of the host."""
    return list(ip("link", "show", "type", "ipvlan"))


def ways(family: str = "-4") -> list[tuple[str, str]]:
    """Return destination and source of what the host sends by its own ipvlan link."""
    links = {link["ifname"] for link in host_links()}
    found = json.loads(run("ip", "-j", family, "route", "show"))
    return [(r["dst"], r["prefsrc"]) for r in found if r["dev"] in links]


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_host_and_container_talk_both_ways(
    cni: Cni, container: Space, mode: str
) -> None:
    """In each mode and family, with the host's own address; CHECK, and DEL of all."""
    before = picture(container), run("ip", "-6", "route")
    wanted = reach(mode=mode)
    result = cni.ok("ipvlan", "ADD", wanted, netns=container)
    for own, theirs in BOTH:
        assert seen(container, theirs, None) == own
        assert seen(None, own, container) == theirs
    stored = with_result(wanted, result)
    cni.ok("ipvlan", "CHECK", stored, netns=container)
    cni.ok("ipvlan", "DEL", stored, netns=container)
    assert (picture(container), run("ip", "-6", "route")) == before


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_container_of_another_subnet_finds_the_host(
    cni: Cni, container: Space, mode: str
) -> None:
    """Where no route of the container leads to the host, it gets one."""
    wanted = reach(mode=mode, ipam=APART)
    result = cni.ok("ipvlan", "ADD", wanted, netns=container)
    for own, theirs in ((HOST, "192.0.2.2"), (HOST6, "2001:db8:2::2")):
        assert seen(container, theirs, None) == own
        assert seen(None, own, container) == theirs
    cni.ok("ipvlan", "CHECK", with_result(wanted, result), netns=container)


@pytest.mark.usefixtures("outside")
def test_without_it_they_do_not_hear_each_other(cni: Cni, container: Space) -> None:
    """The host's link is made for who asks for it."""
    cni.ok("ipvlan", "ADD", conf(), netns=container)
    assert host_links() == []
    assert not container.reaches(HOST)


@pytest.mark.thorough
def test_neighbours_and_the_outside_stay_reachable(
    cni: Cni, outside: Space, host: Host
) -> None:
    """Containers reach each other and beyond, which reaches them and the host."""
    one, two = host.space(), host.space()
    cni.ok("ipvlan", "ADD", reach(), netns=one, container_id="one")
    cni.ok("ipvlan", "ADD", conf(), netns=two, container_id="two")
    assert answers(one, SECOND)
    assert answers(one, "198.51.100.2")
    assert answers(outside, FIRST)
    assert answers(outside, HOST)


@pytest.mark.usefixtures("outside")
def test_link_is_shared_and_goes_with_its_last_user(cni: Cni, host: Host) -> None:
    """A master has one, without an address, with a route for each container."""
    one, two = host.space(), host.space()
    cni.ok("ipvlan", "ADD", reach(), netns=one, container_id="one")
    cni.ok("ipvlan", "ADD", reach(), netns=two, container_id="two")
    (link,) = host_links()
    assert (link["link"], "NOARP" in link["flags"]) == ("eth0", True)
    assert ip("addr", "show", link["ifname"])[0]["addr_info"] == []
    assert ways() == [(FIRST, HOST), (SECOND, HOST)]
    cni.ok("ipvlan", "DEL", reach(), netns=one, container_id="one")
    assert ways() == [(SECOND, HOST)]
    assert seen(two, SECOND, None) == HOST
    cni.ok("ipvlan", "DEL", reach(), netns=two, container_id="two")
    assert host_links() == []


@pytest.mark.thorough
def test_broadcasts_come_to_the_host_once(
    cni: Cni, outside: Space, container: Space
) -> None:
    """A master gives them to each of its links: the host's takes nothing in."""
    cni.ok("ipvlan", "ADD", reach(), netns=container)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hearing:
        hearing.bind(("", 7777))
        hearing.settimeout(2)
        with outside.entered():
            asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            asking.sendto(b"anybody?", ("198.51.100.255", 7777))
        assert hearing.recv(100) == b"anybody?"
        with pytest.raises(TimeoutError):
            hearing.recv(100)


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
def test_late_delete_leaves_who_has_the_address_now(cni: Cni, host: Host) -> None:
    """A route is known by whose it is, for an address may be another's by now."""
    static = {"type": "static", "addresses": [{"address": f"{FIRST}/24"}]}
    one, two = host.space(), host.space()
    cni.ok("ipvlan", "ADD", reach(ipam=static), netns=one, container_id="one")
    one.run("ip", "link", "del", "eth0")
    cni.ok("ipvlan", "ADD", reach(ipam=static), netns=two, container_id="two")
    cni.ok("ipvlan", "DEL", reach(ipam=static), netns=one, container_id="one")
    assert seen(two, FIRST, None) == HOST


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("lost", ["record", "everything"])
def test_delete_without_a_record_leaves_nothing(
    cni: Cni, host: Host, lost: str
) -> None:
    """What is the attachment's the kernel tells, and of the others nothing goes."""
    one, two = host.space(), host.space()
    cni.ok("ipvlan", "ADD", reach(), netns=one, container_id="one")
    cni.ok("ipvlan", "ADD", reach(), netns=two, container_id="two")
    where = "/run/cni/cnipy/ipvlan" if lost == "record" else "/run/cni/cnipy"
    run("rm", "-r", where)
    cni.ok("ipvlan", "DEL", reach(), netns=one, container_id="one")
    assert ways() == [(SECOND, HOST)]
    assert seen(two, SECOND, None) == HOST
    cni.ok("ipvlan", "DEL", reach(), netns=two, container_id="two")
    assert host_links() == []
    assert files() == {}


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("lost", ["nothing", "record"])
def test_gc_removes_what_is_not_valid(cni: Cni, host: Host, lost: str) -> None:
    """GC leaves the way to the valid container, and none to the other."""
    one, two = host.space(), host.space()
    cni.ok("ipvlan", "ADD", reach(), netns=one, container_id="one")
    cni.ok("ipvlan", "ADD", reach(), netns=two, container_id="two")
    if lost == "record":
        run("rm", "-r", "/run/cni/cnipy/ipvlan")
    valid = [{"containerID": "two", "ifname": "eth0"}]
    cni.ok("ipvlan", "GC", reach(**{"cni.dev/valid-attachments": valid}))
    assert ways() == [(SECOND, HOST)]
    assert seen(two, SECOND, None) == HOST


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("ip link del {link}", "it does not exist on eth0"),
        ("ip link set {link} down", "it is down"),
        ("ip link set {link} arp on", "it asks for MACs"),
        ("tc qdisc del dev {link} ingress", "it takes in what the master has"),
        ("ip route flush dev {link}", f"it lacks the route {FIRST} from {HOST}"),
        ("ip -6 route flush dev {link}", f"it lacks the route {FIRST6} from {HOST6}"),
        (
            "ip -n {container} neigh del {host} dev eth0",
            "it does not know the MAC of",
        ),
        (
            "ip link set eth0 address 02:00:00:00:00:09",
            "it does not know the MAC of",
        ),
        ("sysctl net.ipv4.conf.eth0.rp_filter=1", "the host drops their answers"),
    ],
)
def test_check_names_what_is_missing_and_add_mends_it(
    cni: Cni, container: Space, harm: str, words: str
) -> None:
    """CHECK is code 999; the same ADD puts back all but what is the administrator's."""
    run("sysctl", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0")
    result = cni.ok("ipvlan", "ADD", reach(), netns=container)
    (link,) = host_links()
    told = {"link": link["ifname"], "container": container.name, "host": HOST}
    run("sh", "-c", harm.format(**told))
    stored = with_result(reach(), result)
    error = cni.refused("ipvlan", "CHECK", stored, netns=container)
    assert (error["code"], words in error["msg"]) == (999, True), error
    if "rp_filter" in harm:
        run("sysctl", "net.ipv4.conf.eth0.rp_filter=2")
    cni.ok("ipvlan", "ADD", reach(), netns=container)
    cni.ok("ipvlan", "CHECK", stored, netns=container)
    for own, theirs in BOTH:
        assert seen(container, theirs, None) == own
        assert seen(None, own, container) == theirs


@pytest.mark.usefixtures("outside")
def test_strict_filter_of_reverse_paths_is_told(cni: Cni, container: Space) -> None:
    """Where the host would drop the answers nothing is made; the way out is said."""
    run("sysctl", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.eth0.rp_filter=0")
    before = picture(container)
    error = cni.refused("ipvlan", "ADD", reach(), netns=container)
    assert error["msg"] == "reach containers on eth0: the host drops their answers"
    assert error["details"].startswith("set sysctl net.ipv4.conf.eth0.rp_filter to 2")
    assert picture(container) == before
    error = cni.refused("ipvlan", "STATUS", reach())
    assert error["code"] == 50
    run("sysctl", "net.ipv4.conf.eth0.rp_filter=2")
    cni.ok("ipvlan", "STATUS", reach())
    cni.ok("ipvlan", "ADD", reach(), netns=container)
    assert seen(None, HOST, container) == FIRST


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
def test_host_without_an_address_is_told(cni: Cni, container: Space) -> None:
    """A master without an address of either family is no way to the host."""
    run("ip", "addr", "flush", "dev", "eth0")
    before = picture(container)
    error = cni.refused("ipvlan", "ADD", reach(), netns=container)
    assert error["msg"] == "reach containers on eth0: it has no address"
    assert picture(container) == before


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
def test_one_family_of_the_host_is_enough(cni: Cni, container: Space) -> None:
    """Where the host has no IPv6 its containers are reached by IPv4."""
    run("ip", "-6", "addr", "flush", "dev", "eth0", "scope", "global")
    result = cni.ok("ipvlan", "ADD", reach(), netns=container)
    assert seen(None, HOST, container) == FIRST
    assert ways("-6") == []
    cni.ok("ipvlan", "CHECK", with_result(reach(), result), netns=container)


def test_master_in_the_container_is_refused(cni: Cni, container: Space) -> None:
    """The host has nothing on a link of the container."""
    wanted = reach(linkInContainer=True)
    error = cni.refused("ipvlan", "ADD", wanted, netns=container)
    assert error["code"] == 7
    assert error["msg"].startswith("parse hostReach: the host is not on a link")
    assert names(container) == ["lo"]
