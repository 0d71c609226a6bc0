# SPDX-License-Identifier: Apache-2.0
"""macvlan: ADD, DEL, CHECK, GC and STATUS, by kernel state and real traffic."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bridge.helpers import held, with_result
from netns.macvlan.helpers import DUAL, answers, conf, names, options, shown
from pictures import files, picture

from cni_common import state

if TYPE_CHECKING:
    from lab import Cni, Host, Space

VALID = "cni.dev/valid-attachments"


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


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("netns", ["", "gone", "/run/netns/never", "plain file"])
def test_delete_without_the_namespace_releases_the_lease(
    cni: Cni, outside: Space, container: Space, netns: str, *, recorded: bool
) -> None:
    """DEL without a namespace, with or without a record, frees the address."""
    del outside
    cni.ok("macvlan", "ADD", conf(), netns=container)
    if not recorded:
        os.unlink(f"{state.ROOT}/macvlan/net/c1@eth0")
    path = {"gone": container.path, "plain file": container.path}.get(netns, netns)
    if netns in {"gone", "plain file"}:
        container.delete()
    if netns == "plain file":
        with open(path, "w", encoding="ascii"):
            pass
    cni.ok("macvlan", "DEL", conf(), netns=path)
    assert files() == {}
    if netns == "plain file":
        os.unlink(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"ipam": None},
        {"master": "absent", "mode": "nonsense", "mtu": "many"},
        {"linkInContainer": True, "mac": 7, "ipam": {"type": "absent"}},
    ],
)
def test_delete_works_with_another_configuration(
    cni: Cni, outside: Space, container: Space, changed: dict[str, Any]
) -> None:
    """Whatever the configuration says by now, DEL takes back what ADD did."""
    before = picture(container, outside)
    cni.ok("macvlan", "ADD", conf(), netns=container)
    cni.ok("macvlan", "DEL", conf(**changed), netns=container)
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


def test_late_delete_leaves_the_link_of_another(
    cni: Cni, outside: Space, container: Space
) -> None:
    """DEL of a forgotten attachment does not touch the new container at its path."""
    cni.ok("macvlan", "ADD", conf(), netns=container, container_id="new")
    before = picture(container, outside)
    cni.ok("macvlan", "DEL", conf(), netns=container, container_id="old")
    assert picture(container, outside) == before


def test_late_delete_leaves_links_of_other_kinds(
    cni: Cni, outside: Space, container: Space
) -> None:
    """DEL of an unknown attachment leaves a link that is no macvlan."""
    container.run("ip", "link", "add", "eth0", "type", "bridge")
    before = picture(container, outside)
    cni.ok("macvlan", "DEL", conf(), netns=container)
    assert picture(container, outside) == before


def test_check_passes_after_add(cni: Cni, outside: Space, container: Space) -> None:
    """CHECK accepts what ADD did, and what later plugins of a chain may add."""
    del outside
    result = cni.ok("macvlan", "ADD", conf(), netns=container)
    container.run("ip", "link", "set", "eth0", "mtu", "1400")
    container.run("ip", "addr", "add", "10.9.9.9/24", "dev", "eth0")
    cni.ok("macvlan", "CHECK", with_result(conf(), result), netns=container)


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


def test_check_without_prev_result_is_refused(
    cni: Cni, outside: Space, container: Space
) -> None:
    """CHECK without prevResult is code 7."""
    del outside
    cni.ok("macvlan", "ADD", conf(), netns=container)
    error = cni.refused("macvlan", "CHECK", conf(), netns=container)
    assert (error["code"], error["msg"]) == (7, "required prevResult missing")


def test_gc_removes_what_is_not_valid(cni: Cni, outside: Space, host: Host) -> None:
    """GC leaves valid attachments and other networks, and nothing of the rest."""
    del outside
    one, two, three = host.space(), host.space(), host.space()
    cni.ok("macvlan", "ADD", conf(), netns=one, container_id="one")
    cni.ok("macvlan", "ADD", conf(name="other"), netns=three, container_id="three")
    before = picture(one, three)
    cni.ok("macvlan", "ADD", conf(), netns=two, container_id="two")
    cni.ok("macvlan", "GC", conf())
    assert names(two) == ["lo", "eth0"]
    valid = [{"containerID": "one", "ifname": "eth0"}]
    cni.ok("macvlan", "GC", conf(**{VALID: valid}))
    assert names(two) == ["lo"]
    assert picture(one, three) == before


def test_gc_with_a_namespace_that_is_gone(
    cni: Cni, outside: Space, container: Space
) -> None:
    """GC of an attachment whose namespace is gone frees the lease and the record."""
    del outside
    cni.ok("macvlan", "ADD", conf(), netns=container)
    container.delete()
    cni.ok("macvlan", "GC", conf(**{VALID: []}))
    assert files() == {}


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


@pytest.mark.parametrize(
    "version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
)
def test_result_has_the_shape_of_its_version(
    cni: Cni, outside: Space, container: Space, version: str
) -> None:
    """Each version of the specification gets its own shape of the result."""
    del outside
    wanted = conf(cniVersion=version)
    result = cni.ok("macvlan", "ADD", wanted, netns=container)
    assert result["cniVersion"] == version
    if version in {"0.1.0", "0.2.0"}:
        assert result["ip4"]["ip"] == "198.51.100.100/24"
        assert result["ip6"]["ip"] == "2001:db8:99::100/64"
        assert "interfaces" not in result
    else:
        assert [ip["interface"] for ip in result["ips"]] == [0, 0]
        assert ("version" in result["ips"][0]) == (version < "1.0.0")
        assert ("mtu" in result["interfaces"][0]) == (version == "1.1.0")
    cni.ok("macvlan", "DEL", wanted, netns=container)


def test_dns_of_the_ipam_plugin_is_kept(
    cni: Cni, outside: Space, host: Host, tmp_path: Any
) -> None:
    """The configuration's dns counts; without one it is the IPAM plugin's."""
    del outside
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 192.0.2.53\n")
    ipam = {**DUAL, "resolvConf": str(resolv)}
    given = {"nameservers": ["192.0.2.54"]}
    result = cni.ok("macvlan", "ADD", conf(ipam=ipam), netns=host.space())
    assert result["dns"] == {"nameservers": ["192.0.2.53"]}
    both = conf(ipam=ipam, dns=given)
    result = cni.ok("macvlan", "ADD", both, netns=host.space(), container_id="c2")
    assert result["dns"] == given
