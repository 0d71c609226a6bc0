# SPDX-License-Identifier: Apache-2.0
"""macvlan: ADD, DEL, CHECK, GC and STATUS, by kernel state and real traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bridge.helpers import held, with_result
from netns.macvlan.helpers import answers, conf, options, shown
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space


@pytest.fixture
def outside(host: Host) -> Space:
    """A neighbour beyond the uplink: .2 of 198.51.100.0/24 and 2001:db8:99::/64."""
    return host.outside()


def test_add_gives_the_container_a_macvlan(
    cni: Cni, outside: Space, container: Space
) -> None:
    """ADD gives a macvlan of mode bridge with addresses and routes, and tells them."""
    result = cni.ok("macvlan", "ADD", conf(), netns=container)
    link = shown(container)
    assert result == {
        "cniVersion": "1.1.0",
        "interfaces": [
            {
                "name": "eth0",
                "mac": link["address"],
                "mtu": 1500,
                "sandbox": container.path,
            }
        ],
        "ips": [
            {"address": "198.51.100.100/24", "gateway": "198.51.100.1", "interface": 0},
            {
                "address": "2001:db8:99::100/64",
                "gateway": "2001:db8:99::1",
                "interface": 0,
            },
        ],
        "routes": [{"dst": "192.0.2.0/24", "gw": "198.51.100.2", "mtu": 1300}],
    }
    assert link["linkinfo"]["info_kind"] == "macvlan"
    assert "UP" in link["flags"]
    assert link["ifalias"] == "cni net c1 eth0"
    assert options(container)["mode"] == "bridge"
    assert held(container) == ["198.51.100.100/24", "2001:db8:99::100/64"]
    (route,) = container.ip("route", "show", "192.0.2.0/24")
    assert (route["gateway"], route["metrics"]) == ("198.51.100.2", [{"mtu": 1300}])
    assert outside.reaches("198.51.100.100")
    assert answers(container, "2001:db8:99::2")


@pytest.mark.parametrize("keys", [{}, {"ipam": None}])
def test_delete_leaves_nothing(
    cni: Cni, outside: Space, container: Space, keys: dict[str, Any]
) -> None:
    """DEL takes back link, lease and record; a second one finds nothing to do."""
    before = picture(container, outside)
    result = cni.ok("macvlan", "ADD", conf(**keys), netns=container)
    for _ in range(2):
        cni.ok("macvlan", "DEL", with_result(conf(**keys), result), netns=container)
        assert picture(container, outside) == before


def test_delete_without_a_record_removes_what_the_reference_left(
    cni: Cni, outside: Space, container: Space
) -> None:
    """A macvlan without alias in the namespace goes, though there is no record."""
    before = picture(container, outside)
    words = ("link", "eth0", "name", "tmp", "netns", container.name, "type", "macvlan")
    run("ip", "link", "add", *words)
    container.run("ip", "link", "set", "tmp", "name", "eth0")
    cni.ok("macvlan", "DEL", conf(), netns=container)
    assert picture(container, outside) == before


def test_check_of_an_older_version_knows_the_routes_mtu(
    cni: Cni, outside: Space, container: Space
) -> None:
    """CHECK in 0.4.0 misses a route's mtu, though a result of 0.4.0 cannot tell it."""
    del outside
    old = conf(cniVersion="0.4.0")
    result = cni.ok("macvlan", "ADD", old, netns=container)
    assert "mtu" not in result["routes"][0]
    cni.ok("macvlan", "CHECK", with_result(old, result), netns=container)
    route = ("192.0.2.0/24", "via", "198.51.100.2", "dev", "eth0")
    container.run("ip", "route", "replace", *route)
    error = cni.refused("macvlan", "CHECK", with_result(old, result), netns=container)
    assert error["code"] == 999
    assert "lacks the route 192.0.2.0/24" in error["msg"]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("ip link set eth0 down", "check interface eth0: it is down"),
        ("ip addr del 198.51.100.100/24 dev eth0", "it lacks 198.51.100.100/24"),
        ("ip route del 192.0.2.0/24", "it lacks the route 192.0.2.0/24"),
        ("ip link set eth0 address 02:00:00:00:00:09", "its MAC is 02:00:00:00:00:09"),
        ("ip link set eth0 type macvlan mode private", "its mode is private, not br"),
        ("ip link del eth0", "check interface eth0: it does not exist"),
        ("ip link set eth0 alias other", ""),
        ("ip link set eth0 alias 'cni net other eth0'", "it is not the macvlan of ADD"),
    ],
)
def test_check_names_what_is_missing(
    cni: Cni, outside: Space, container: Space, harm: str, words: str
) -> None:
    """CHECK raises code 999 and names the first thing that is not as ADD left it."""
    del outside
    result = cni.ok("macvlan", "ADD", conf(), netns=container)
    container.run("sh", "-c", harm)
    answer = cni("macvlan", "CHECK", with_result(conf(), result), netns=container)
    if words:
        assert answer.document["code"] == 999
        assert words in answer.document["msg"]
    else:
        assert answer.status == 0


def test_check_notices_another_master(
    cni: Cni, outside: Space, container: Space
) -> None:
    """CHECK raises when the configuration's master is not the macvlan's."""
    del outside
    run("ip", "link", "add", "up9", "type", "veth", "peer", "name", "up8")
    result = cni.ok("macvlan", "ADD", conf(), netns=container)
    other = with_result(conf(master="up9"), result)
    error = cni.refused("macvlan", "CHECK", other, netns=container)
    assert error["msg"] == "check interface eth0: its master is not up9"


def test_status_is_ready_with_a_master(cni: Cni, outside: Space) -> None:
    """STATUS succeeds when ADD would find its master."""
    del outside
    cni.ok("macvlan", "STATUS", conf())


@pytest.mark.parametrize(
    ("keys", "msg"),
    [
        ({"master": "absent"}, "find master absent: no such device"),
        ({"master": None}, "find master: no default route interface found"),
        ({"mtu": 9000}, "parse mtu: 9000 is more than the 1500 of eth0"),
    ],
)
def test_status_says_what_add_would_lack(
    cni: Cni, outside: Space, keys: dict[str, Any], msg: str
) -> None:
    """STATUS is code 50 when ADD could not work."""
    del outside
    error = cni.refused("macvlan", "STATUS", conf(**keys))
    assert (error["code"], error["msg"]) == (50, msg)


def test_status_asks_the_ipam_plugin(cni: Cni, outside: Space) -> None:
    """STATUS passes on what the IPAM plugin says of an exhausted range."""
    del outside
    tiny = [[{"subnet": "10.1.2.0/30", "rangeEnd": "10.1.2.1"}]]
    ipam = {"type": "host-local", "ranges": tiny}
    error = cni.refused("macvlan", "STATUS", conf(ipam=ipam))
    assert error["code"] == 50
