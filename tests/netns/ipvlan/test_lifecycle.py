# SPDX-License-Identifier: Apache-2.0
"""ipvlan: ADD, DEL, CHECK, GC and STATUS, with a neighbour beyond the master."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.bridge.helpers import with_result
from netns.dhcp.helpers import until
from netns.ipvlan.helpers import conf
from netns.macvlan.helpers import answers, names, options, shown
from pictures import files, picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space

pytestmark = pytest.mark.needs_kernel("ipvlan")


@pytest.fixture
def outside(host: Host) -> Space:
    """A neighbour beyond the uplink eth0."""
    return host.outside()


def route_back(outside: Space) -> None:
    """Tell the neighbour where the containers are: in l3 nobody answers for them."""
    mac = ip("link", "show", "eth0")[0]["address"]
    for address in ("198.51.100.100", "198.51.100.101"):
        words = ("neigh", "add", address, "lladdr", mac, "dev", "eth0")
        outside.run("ip", *words, "nud", "permanent")


@pytest.mark.parametrize("mode", [None, "l2", "l3", "l3s"])
def test_mode_reaches_the_outside_and_neighbours(
    cni: Cni, outside: Space, host: Host, mode: str | None
) -> None:
    """In every mode containers talk to the outside and to each other."""
    one, two = host.space(), host.space()
    before = picture(one, two)
    wanted = conf(mode=mode, mtu=1400)
    result = cni.ok("ipvlan", "ADD", wanted, netns=one, container_id="one")
    cni.ok("ipvlan", "ADD", wanted, netns=two, container_id="two")
    master = ip("link", "show", "eth0")[0]["address"]
    link = shown(one)
    assert (options(one)["mode"], link["mtu"]) == (mode or "l2", 1400)
    assert (link["address"], link["ifalias"]) == (master, "cni net one eth0")
    assert result["interfaces"] == [
        {"name": "eth0", "mac": master, "mtu": 1400, "sandbox": one.path}
    ]
    if mode in {"l3", "l3s"}:
        route_back(outside)
    assert answers(one, "198.51.100.2")
    assert answers(one, "198.51.100.101")
    assert answers(outside, "198.51.100.100")
    stored = with_result(wanted, result)
    cni.ok("ipvlan", "CHECK", stored, netns=one, container_id="one")
    cni.ok("ipvlan", "DEL", stored, netns=one, container_id="one")
    cni.ok("ipvlan", "DEL", wanted, netns=two, container_id="two")
    assert picture(one, two) == before


@pytest.mark.thorough
def test_ipv6_reaches_the_outside(cni: Cni, outside: Space, container: Space) -> None:
    """IPv6 is usable at once."""
    cni.ok("ipvlan", "ADD", conf(), netns=container)
    assert answers(container, "2001:db8:99::2")
    assert answers(outside, "2001:db8:99::100")


def test_neighbours_learn_who_has_the_addresses_now(
    cni: Cni, outside: Space, container: Space
) -> None:
    """They had another MAC for them a moment ago, and take the master's unasked."""
    held = ("198.51.100.100", "2001:db8:99::100")
    for address in held:
        stale = ("lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "reachable")
        outside.run("ip", "neigh", "replace", address, *stale)
    cni.ok("ipvlan", "ADD", conf(), netns=container)
    master = ip("link", "show", "eth0")[0]["address"]

    def known() -> list[str]:
        found = {each["dst"]: each["lladdr"] for each in outside.ip("neigh", "show")}
        return [found[address] for address in held]

    until(lambda: known() == [master, master], 1)


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
def test_master_is_the_link_of_the_default_route(cni: Cni, container: Space) -> None:
    """Without `master` ADD takes the default route's link, and DEL needs none."""
    error = cni.refused("ipvlan", "ADD", conf(master=None), netns=container)
    assert error["msg"] == "find master: no default route interface found"
    run("ip", "route", "add", "default", "via", "198.51.100.2")
    result = cni.ok("ipvlan", "ADD", conf(master=None), netns=container)
    assert answers(container, "198.51.100.2")
    run("ip", "route", "del", "default")
    stored = with_result(conf(master=None), result)
    cni.ok("ipvlan", "CHECK", stored, netns=container)
    cni.ok("ipvlan", "DEL", stored, netns=container)
    assert names(container) == ["lo"]


@pytest.mark.usefixtures("outside")
def test_chained_on_a_link_that_prevresult_names(cni: Cni, container: Space) -> None:
    """Without master and ipam both come from prevResult, as the reference has it."""
    given = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0"}],
        "ips": [{"address": "198.51.100.7/24", "interface": 0}],
        "dns": {"nameservers": ["192.0.2.53"]},
    }
    wanted = conf(master=None, ipam=None, prevResult=given)
    result = cni.ok("ipvlan", "ADD", wanted, netns=container)
    assert [i["sandbox"] for i in result["interfaces"]] == [container.path]
    assert result["ips"] == [{"address": "198.51.100.7/24", "interface": 0}]
    assert answers(container, "198.51.100.2")
    cni.ok("ipvlan", "CHECK", with_result(wanted, result), netns=container)
    cni.ok("ipvlan", "DEL", with_result(wanted, result), netns=container)
    assert names(container) == ["lo"]
    cni.ok("ipvlan", "STATUS", conf(master=None, ipam=None))


@pytest.mark.thorough
def test_link_in_the_container_is_the_master(cni: Cni, container: Space) -> None:
    """With linkInContainer the ipvlan is on the container's own link."""
    container.run("ip", "link", "add", "net1", "type", "veth", "peer", "name", "far")
    inside = conf(master="net1", linkInContainer=True)
    cni.ok("ipvlan", "ADD", inside, netns=container)
    assert shown(container)["link"] == "net1"
    cni.ok("ipvlan", "DEL", inside, netns=container)
    assert names(container) == ["lo", "far", "net1"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"mode": "l4"}, (7, 'parse mode: unknown ipvlan mode: "l4"')),
        ({"master": "absent"}, (999, "find master absent: no such device")),
        ({"mtu": 9000}, (7, "parse mtu: 9000 is more than the 1500 of eth0")),
        ({"master": "lo", "mtu": 0}, (999, "add ipvlan eth0 on lo: invalid argument")),
        (
            {"master": None, "prevResult": {"cniVersion": "1.1.0"}},
            (7, "find master: prevResult does not name a single link"),
        ),
    ],
)
def test_bad_values_change_nothing(
    cni: Cni,
    outside: Space,
    container: Space,
    keys: dict[str, Any],
    said: tuple[int, str],
) -> None:
    """What cannot be is refused, and nothing is left."""
    before = picture(container, outside), files()
    error = cni.refused("ipvlan", "ADD", conf(**keys), netns=container)
    assert (error["code"], said[1] in error["msg"]) == (said[0], True), error
    assert (picture(container, outside), files()) == before


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
def test_master_with_macvlans_is_refused_with_the_reason(
    cni: Cni, container: Space
) -> None:
    """The kernel allows one kind on a master: the error says so."""
    run("ip", "link", "add", "link", "eth0", "mv0", "type", "macvlan")
    error = cni.refused("ipvlan", "ADD", conf(), netns=container)
    assert error["msg"] == "add ipvlan eth0 on eth0: device or resource busy"
    assert "has macvlans" in error["details"]


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("ip link set eth0 down", "it is down"),
        ("ip addr del 198.51.100.100/24 dev eth0", "it lacks 198.51.100.100/24"),
        ("ip link set eth0 type ipvlan mode l3", "its mode is l3, not l2"),
        ("ip link del eth0", "it does not exist"),
        ("ip link set eth0 alias 'cni net other eth0'", "it is not the ipvlan of ADD"),
    ],
)
def test_check_names_what_is_missing(
    cni: Cni, container: Space, harm: str, words: str
) -> None:
    """CHECK raises code 999 and names the first thing that is not as ADD left it."""
    result = cni.ok("ipvlan", "ADD", conf(), netns=container)
    container.run("sh", "-c", harm)
    error = cni.refused("ipvlan", "CHECK", with_result(conf(), result), netns=container)
    assert (error["code"], words in error["msg"]) == (999, True), error


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
def test_check_accepts_another_mac_of_the_master(cni: Cni, container: Space) -> None:
    """The link follows its master, whose MAC the administrator may change."""
    result = cni.ok("ipvlan", "ADD", conf(), netns=container)
    run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")
    cni.ok("ipvlan", "CHECK", with_result(conf(), result), netns=container)


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
def test_repeated_add_mends(cni: Cni, container: Space) -> None:
    """The same ADD puts mode and addresses back, and answers the same."""
    result = cni.ok("ipvlan", "ADD", conf(), netns=container)
    container.run("ip", "link", "set", "eth0", "type", "ipvlan", "mode", "l3")
    container.run("ip", "addr", "del", "198.51.100.100/24", "dev", "eth0")
    assert cni.ok("ipvlan", "ADD", conf(), netns=container) == result
    assert options(container)["mode"] == "l2"
    assert answers(container, "198.51.100.2")


@pytest.mark.thorough
@pytest.mark.usefixtures("outside")
def test_status_says_what_add_would_lack(cni: Cni) -> None:
    """STATUS is code 50 when ADD could not work, and succeeds when it could."""
    cni.ok("ipvlan", "STATUS", conf())
    error = cni.refused("ipvlan", "STATUS", conf(master="absent"))
    assert (error["code"], error["msg"]) == (50, "find master absent: no such device")
