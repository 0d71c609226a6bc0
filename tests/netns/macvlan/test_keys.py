# SPDX-License-Identifier: Apache-2.0
"""macvlan: what each key does, and what is refused before anything is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.bridge.helpers import held, with_result
from netns.macvlan.helpers import answers, conf, names, options, shown
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space

MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"]
STATIC = {"type": "static", "addresses": [{"address": "198.51.100.7/24"}]}


@pytest.fixture
def outside(host: Host) -> Space:
    """A neighbour beyond the uplink eth0."""
    return host.outside()


def master_mac(link: str = "eth0") -> str:
    """Return the MAC of a link of the host."""
    return str(ip("link", "show", link)[0]["address"])


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
def test_mode_reaches_the_outside(
    cni: Cni, outside: Space, container: Space, mode: str
) -> None:
    """In every mode the container and the neighbour beyond the master talk."""
    result = cni.ok("macvlan", "ADD", conf(mode=mode), netns=container)
    assert options(container)["mode"] == mode
    assert answers(outside, "198.51.100.100")
    assert answers(container, "198.51.100.2")
    stored = with_result(conf(mode=mode), result)
    cni.ok("macvlan", "CHECK", stored, netns=container)


@pytest.mark.parametrize(
    ("mode", "talk"), [("bridge", True), ("private", False), ("vepa", False)]
)
def test_neighbours_on_one_master(
    cni: Cni, outside: Space, host: Host, mode: str, *, talk: bool
) -> None:
    """Two containers on a master talk in mode bridge; vepa leaves it to a switch."""
    del outside
    one, two = host.space(), host.space()
    cni.ok("macvlan", "ADD", conf(mode=mode), netns=one, container_id="one")
    cni.ok("macvlan", "ADD", conf(mode=mode), netns=two, container_id="two")
    assert one.reaches("198.51.100.101") == talk


def test_passthru_is_for_one(cni: Cni, outside: Space, host: Host) -> None:
    """A second macvlan on a master in mode passthru is refused, with the reason."""
    one, two = host.space(), host.space()
    wanted = conf(mode="passthru")
    cni.ok("macvlan", "ADD", wanted, netns=one, container_id="one")
    before = picture(one, two, outside)
    error = cni.refused("macvlan", "ADD", wanted, netns=two, container_id="two")
    assert error["msg"] == "add macvlan eth0 on eth0: invalid argument"
    assert "passthru" in error["details"]
    assert picture(one, two, outside) == before


@pytest.mark.parametrize("given", [None, MACS[0]])
def test_passthru_has_the_masters_mac_or_gives_it_its_own(
    cni: Cni, outside: Space, container: Space, given: str | None
) -> None:
    """In passthru master and macvlan share one MAC; DEL gives the master its back."""
    own = master_mac()
    before = picture(container, outside)
    wanted = conf(mode="passthru", mac=given)
    result = cni.ok("macvlan", "ADD", wanted, netns=container)
    expected = given or own
    found = (master_mac(), shown(container)["address"])
    assert found == (expected, expected)
    assert result["interfaces"][0]["mac"] == expected
    cni.ok("macvlan", "DEL", wanted, netns=container)
    assert picture(container, outside) == before


@pytest.mark.parametrize(
    ("keys", "args", "expected"),
    [
        ({"mac": MACS[0]}, "", MACS[0]),
        ({"mac": MACS[0]}, f"MAC={MACS[1]}", MACS[1]),
        (
            {"mac": MACS[0], "runtimeConfig": {"mac": MACS[2].upper()}},
            f"IgnoreUnknown=1;K8S_POD_NAME=web;MAC={MACS[1]}",
            MACS[2],
        ),
    ],
)
@pytest.mark.usefixtures("outside")
def test_mac_comes_from_the_first_that_names_one(
    cni: Cni,
    container: Space,
    keys: dict[str, Any],
    args: str,
    expected: str,
) -> None:
    """runtimeConfig.mac comes before CNI_ARGS, and that before the key."""
    result = cni.ok("macvlan", "ADD", conf(**keys), netns=container, args=args)
    assert shown(container)["address"] == expected
    assert result["interfaces"][0]["mac"] == expected


def test_mac_is_of_its_own_when_nobody_names_one(
    cni: Cni, outside: Space, container: Space
) -> None:
    """Without a request the MAC is locally administered and not the master's."""
    del outside
    cni.ok("macvlan", "ADD", conf(), netns=container)
    mac = shown(container)["address"]
    assert int(mac[:2], 16) & 3 == 2
    assert mac != master_mac()


def test_mtu_and_queue_are_set(cni: Cni, outside: Space, container: Space) -> None:
    """The macvlan has the MTU and the broadcast queue length asked for."""
    del outside
    wanted = conf(mtu=1400, bcqueuelen=2000)
    result = cni.ok("macvlan", "ADD", wanted, netns=container)
    assert shown(container)["mtu"] == 1400
    assert options(container)["bcqueuelen"] == 2000
    cni.ok("macvlan", "CHECK", with_result(wanted, result), netns=container)
    other = with_result(conf(mtu=1400, bcqueuelen=9), result)
    error = cni.refused("macvlan", "CHECK", other, netns=container)
    assert error["msg"] == "check interface eth0: its bcqueuelen is 2000, not 9"


def test_mtu_follows_the_master(cni: Cni, outside: Space, container: Space) -> None:
    """Without `mtu` the macvlan has that of its master."""
    del outside
    run("ip", "link", "set", "eth0", "mtu", "1480")
    cni.ok("macvlan", "ADD", conf(), netns=container)
    assert shown(container)["mtu"] == 1480


@pytest.mark.parametrize(
    "route",
    [
        ("route", "add", "default", "via", "198.51.100.2"),
        ("route", "add", "default", "dev", "eth0"),
        ("route", "add", "default", "nexthop", "via", "198.51.100.2", "dev", "eth0"),
        ("-6", "route", "add", "default", "via", "2001:db8:99::2"),
        ("-6", "route", "add", "default", "dev", "eth0"),
    ],
)
@pytest.mark.parametrize("ahead", [(), ("192.0.2.0/24",), ("2001:db8::/32",)])
def test_master_is_the_link_of_the_default_route(
    cni: Cni,
    outside: Space,
    container: Space,
    route: tuple[str, ...],
    ahead: tuple[str, ...],
) -> None:
    """Without `master` it is the default route's link, of either family."""
    del outside
    run("ip", "link", "add", "up7", "type", "veth", "peer", "name", "up8")
    run("ip", "link", "set", "up7", "up")
    for narrower in ahead:
        family = "-6" if ":" in narrower else "-4"
        run("ip", family, "route", "add", narrower, "dev", "up7")
    run("ip", *route)
    result = cni.ok("macvlan", "ADD", conf(master=None), netns=container)
    (master,) = ip("link", "show", "eth0")
    assert shown(container)["link_index"] == master["ifindex"]
    run("ip", "route", "flush", "default")
    run("ip", "-6", "route", "flush", "default")
    stored = with_result(conf(master=None), result)
    cni.ok("macvlan", "CHECK", stored, netns=container)


@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit"])
def test_default_route_that_leads_nowhere_names_no_master(
    cni: Cni, outside: Space, container: Space, kind: str
) -> None:
    """A default route without a link is as good as none."""
    for family in ("-4", "-6"):
        run("ip", family, "route", "add", kind, "default")
    before = picture(container, outside)
    error = cni.refused("macvlan", "ADD", conf(master=None), netns=container)
    assert error["msg"] == "find master: no default route interface found"
    assert picture(container, outside) == before


def test_master_may_be_in_the_container(cni: Cni, host: Host, container: Space) -> None:
    """With linkInContainer the master is a link of the container, or its default."""
    space = host.space("ext")
    words = ("up1", "type", "veth", "peer", "name", "eth0", "netns", space.name)
    run("ip", "-n", container.name, "link", "add", *words)
    for target, link, number in ((container, "up1", 1), (space, "eth0", 2)):
        address = f"198.51.100.{number}/24"
        target.run("ip", "addr", "add", address, "dev", link)
        target.run("ip", "link", "set", link, "up")
    before = picture(container, space)
    inside = conf(master="up1", linkInContainer=True, ipam=STATIC)
    result = cni.ok("macvlan", "ADD", inside, netns=container, ifname="net1")
    assert held(container, "net1") == ["198.51.100.7/24"]
    stored = with_result(inside, result)
    cni.ok("macvlan", "CHECK", stored, netns=container, ifname="net1")
    assert answers(space, "198.51.100.7")
    cni.ok("macvlan", "STATUS", inside)
    cni.ok("macvlan", "DEL", stored, netns=container, ifname="net1")
    assert picture(container, space) == before
    container.run("ip", "route", "add", "default", "via", "198.51.100.2")
    guessed = conf(master=None, linkInContainer=True, ipam=STATIC)
    cni.ok("macvlan", "ADD", guessed, netns=container, ifname="net1")
    assert shown(container, "net1")["link"] == "up1"


BAD: list[tuple[dict[str, Any], str, tuple[int, str]]] = [
    ({"mode": "source"}, "", (7, 'parse mode: unknown macvlan mode: "source"')),
    ({"mode": "BRIDGE"}, "", (7, 'parse mode: unknown macvlan mode: "BRIDGE"')),
    ({"mtu": -1}, "", (7, "parse mtu: -1 is not between 0 and 65535")),
    ({"mtu": 1501}, "", (7, "parse mtu: 1501 is more than the 1500 of eth0")),
    ({"mtu": "1400"}, "", (7, "parse network configuration: mtu: ")),
    ({"mtu": 40}, "", (999, "add macvlan eth0 on eth0: ")),
    ({"bcqueuelen": -1}, "", (7, "parse bcqueuelen: -1 is not between 0 and")),
    ({"bcqueuelen": 2**32}, "", (7, "parse bcqueuelen: 4294967296 is not between")),
    ({"linkInContainer": "yes"}, "", (7, "parse network configuration: linkInCon")),
    ({"master": "absent"}, "", (999, "find master absent: no such device")),
    ({"master": "../eth0"}, "", (7, "parse master: interface name contains /")),
    ({"master": "a" * 128}, "", (7, "parse master: interface name is too long")),
    ({"master": "lo"}, "", (999, "add macvlan eth0 on lo: ")),
    ({"master": None}, "", (999, "find master: no default route interface found")),
    ({"mac": "nonsense"}, "", (7, "parse mac: 'nonsense' is not a MAC address")),
    ({"mac": "01:00:5e:00:00:01"}, "", (7, "parse mac: 01:00:5e:00:00:01 is not a un")),
    ({"runtimeConfig": {"mac": 7}}, "", (7, "parse runtimeConfig.mac: 7 is not a MAC")),
    ({}, "MAC=7", (7, "parse CNI_ARGS MAC: '7' is not a MAC address")),
    ({}, "COLOR=red", (4, "parse CNI_ARGS: unknown keys ['COLOR']")),
    ({"ipam": None, "cniVersion": "0.2.0"}, "", (7, "parse ipam: a result of 0.2.0")),
    ({"ipam": {"type": "static"}}, "", (999, "IPAM plugin returned missing IP config")),
    ({"ipam": {"type": "absent"}}, "", (999, "find plugin 'absent': not in CNI_PATH")),
    ({"linkInContainer": True}, "", (999, "find master eth0: no such device")),
]


@pytest.mark.parametrize(("keys", "args", "expected"), BAD)
@pytest.mark.usefixtures("outside")
def test_bad_input_changes_nothing(
    cni: Cni,
    container: Space,
    keys: dict[str, Any],
    args: str,
    expected: tuple[int, str],
) -> None:
    """What cannot be done is refused with a code and a cause, and nothing changes."""
    before = picture(container)
    error = cni.refused("macvlan", "ADD", conf(**keys), netns=container, args=args)
    code, msg = expected
    assert (error["code"], error["msg"][: len(msg)]) == (code, msg)
    assert picture(container) == before


def test_master_that_is_a_port_says_why_it_is_busy(
    cni: Cni, outside: Space, container: Space
) -> None:
    """A port of a bridge cannot be a master, and the error says so."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "set", "eth0", "master", "br0")
    before = picture(container, outside)
    error = cni.refused("macvlan", "ADD", conf(), netns=container)
    assert error["msg"] == "add macvlan eth0 on eth0: device or resource busy"
    assert error["details"].startswith("eth0 is a port of a bridge or bond")
    assert picture(container, outside) == before


def test_runtime_list_of_podman(cni: Cni, host: Host, container: Space) -> None:
    """Podman's macvlan network, whose range ends with the broadcast address, works."""
    space = host.outside("10.99.0")
    given = {"subnet": "10.99.0.0/24", "gateway": "10.99.0.1"}
    pool = {**given, "rangeStart": "10.99.0.129", "rangeEnd": "10.99.0.255"}
    wanted = conf(
        cniVersion="0.4.0",
        name="mvl",
        capabilities={"ips": True},
        ipam={
            "type": "host-local",
            "routes": [{"dst": "0.0.0.0/0"}],
            "ranges": [[pool]],
        },
    )
    args = "IgnoreUnknown=1;K8S_POD_NAME=web"
    result = cni.ok("macvlan", "ADD", wanted, netns=container, args=args)
    assert result["ips"][0]["address"] == "10.99.0.129/24"
    assert result["interfaces"][0]["mac"] == shown(container)["address"]
    assert answers(space, "10.99.0.129")
    (route,) = container.ip("route", "show", "default")
    assert route["gateway"] == "10.99.0.1"
    cni.ok("macvlan", "DEL", with_result(wanted, result), netns=container, args=args)
    fixed = {**wanted, "runtimeConfig": {"ips": ["10.99.0.200"]}}
    result = cni.ok("macvlan", "ADD", fixed, netns=container, args=args)
    assert held(container) == ["10.99.0.200/24"]


@pytest.mark.parametrize("name", ["lan", "enx" + "a" * 124])
def test_master_may_be_named_by_an_alternative_name(
    cni: Cni, outside: Space, container: Space, name: str
) -> None:
    """Every verb finds a master by an alternative name of any length."""
    del outside
    run("ip", "link", "property", "add", "dev", "eth0", "altname", name)
    wanted = conf(master=name)
    cni.ok("macvlan", "STATUS", wanted)
    result = cni.ok("macvlan", "ADD", wanted, netns=container)
    (master,) = ip("link", "show", "eth0")
    assert shown(container)["link_index"] == master["ifindex"]
    cni.ok("macvlan", "CHECK", with_result(wanted, result), netns=container)
    cni.ok("macvlan", "DEL", wanted, netns=container)
    assert names(container) == ["lo"]


def test_mac_that_another_container_has_is_named_with_its_holder(
    cni: Cni, host: Host, outside: Space, container: Space
) -> None:
    """Two macvlans of a master cannot have one MAC; the error tells who has it."""
    del outside
    mac = "02:00:00:00:00:77"
    cni.ok("macvlan", "ADD", conf(mac=mac), netns=container)
    second = {"netns": host.space(), "container_id": "c2"}
    error = cni.refused("macvlan", "ADD", conf(mac=mac), **second)
    message = f"set up macvlan eth0 on eth0: MAC {mac} is in use by"
    assert error["code"] == 999
    assert error["msg"] == f"{message} container c1 interface eth0 on net"
    cni.ok("macvlan", "DEL", conf(mac=mac), netns=container)
    cni.ok("macvlan", "ADD", conf(mac=mac), **second)


def test_mac_that_the_master_or_a_stranger_has_is_named(
    cni: Cni, host: Host, outside: Space, container: Space
) -> None:
    """The master's own MAC is told as that, and a holder without record as unknown."""
    del outside
    mac, stranger = master_mac(), host.space()
    error = cni.refused("macvlan", "ADD", conf(mac=mac), netns=container)
    message = "set up macvlan eth0 on eth0: MAC"
    assert error["msg"] == f"{message} {mac} is in use by eth0 itself"
    mac = "02:00:00:00:00:77"
    words = ("link", "eth0", "name", "m0", "netns", stranger.name, "address", mac)
    run("ip", "link", "add", *words, "type", "macvlan", "mode", "bridge")
    stranger.run("ip", "link", "set", "m0", "up")
    error = cni.refused("macvlan", "ADD", conf(mac=mac), netns=container)
    unknown = "is in use by another link on eth0 that no record tells of"
    assert error["msg"] == f"{message} {mac} {unknown}"
    assert names(container) == ["lo"]


@pytest.mark.parametrize("netns", ["/run/netns/never", "/etc/hostname", "own"])
def test_netns_that_is_none_changes_nothing(
    cni: Cni, outside: Space, netns: str
) -> None:
    """A CNI_NETNS that is no other namespace is code 8, and nothing is made."""
    before = picture(outside)
    path = "/proc/thread-self/ns/net" if netns == "own" else netns
    error = cni.refused("macvlan", "ADD", conf(), netns=path)
    assert error["code"] == 8
    assert picture(outside) == before
