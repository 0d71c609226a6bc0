# SPDX-License-Identifier: Apache-2.0
"""vlan: ADD, DEL, CHECK, GC and STATUS, with a neighbour that hears tagged frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.bridge.helpers import with_result
from netns.macvlan.helpers import answers, names, options, shown
from netns.vlan.helpers import NEIGHBOUR, NEIGHBOUR6, conf, outside
from pictures import files, picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space

pytestmark = pytest.mark.needs_kernel("802.1q")


@pytest.fixture
def neighbour(host: Host) -> Space:
    """Who is in VLAN 100 beyond the uplink eth0."""
    return outside(host)


def test_container_is_in_the_vlan(cni: Cni, neighbour: Space, container: Space) -> None:
    """It talks to the VLAN by both families; DEL leaves nothing."""
    before = picture(container, neighbour)
    wanted = conf(mtu=1400)
    result = cni.ok("vlan", "ADD", wanted, netns=container)
    link = shown(container)
    assert (link["linkinfo"]["info_kind"], options(container)["id"]) == ("vlan", 100)
    assert (link["mtu"], link["ifalias"]) == (1400, "cni net c1 eth0")
    master = ip("link", "show", "eth0")[0]["address"]
    assert result["interfaces"] == [
        {"name": "eth0", "mac": master, "mtu": 1400, "sandbox": container.path}
    ]
    assert answers(container, NEIGHBOUR)
    assert answers(container, NEIGHBOUR6)
    assert answers(neighbour, "203.0.113.100")
    cni.ok("vlan", "CHECK", with_result(wanted, result), netns=container)
    cni.ok("vlan", "DEL", with_result(wanted, result), netns=container)
    assert picture(container, neighbour) == before
    cni.ok("vlan", "DEL", wanted, netns=container)


@pytest.mark.thorough
@pytest.mark.usefixtures("neighbour")
def test_other_vlans_are_apart(cni: Cni, container: Space) -> None:
    """In another VLAN the neighbour is not heard."""
    cni.ok("vlan", "ADD", conf(vlanId=101), netns=container)
    assert not container.reaches(NEIGHBOUR)


@pytest.mark.usefixtures("neighbour")
def test_holder_of_a_vlan_is_named(cni: Cni, host: Host, container: Space) -> None:
    """A container that has the VLAN is named, with the way out; nothing is made."""
    other = host.space()
    cni.ok("vlan", "ADD", conf(), netns=other, container_id="first")
    before = picture(container, other), files()
    error = cni.refused("vlan", "ADD", conf(), netns=container)
    msg = "add VLAN 100 on eth0: it is held by container first interface eth0 on net"
    assert error["msg"] == msg
    assert "macvlan" in error["details"]
    assert (picture(container, other), files()) == before
    cni.ok("vlan", "DEL", conf(), netns=other, container_id="first")
    cni.ok("vlan", "ADD", conf(), netns=container)


@pytest.mark.thorough
@pytest.mark.usefixtures("neighbour")
def test_link_of_the_host_that_has_the_vlan_is_named(
    cni: Cni, container: Space
) -> None:
    """The administrator's own link is told by its name."""
    run("ip", "link", "add", "link", "eth0", "up100", "type", "vlan", "id", "100")
    error = cni.refused("vlan", "ADD", conf(), netns=container)
    assert error["msg"].endswith("it is held by link up100 of the host")


@pytest.mark.thorough
@pytest.mark.usefixtures("neighbour")
def test_holder_without_a_record_is_told_to_be_elsewhere(
    cni: Cni, host: Host, container: Space
) -> None:
    """What another suite gave to a container nobody can name."""
    other = host.space()
    link = ("link", "eth0", "name", "up100", "netns", other.name)
    run("ip", "link", "add", *link, "type", "vlan", "id", "100")
    error = cni.refused("vlan", "ADD", conf(), netns=container)
    assert error["msg"].endswith("a link in another namespace that no record tells of")


@pytest.mark.thorough
def test_link_in_the_container_is_the_master(
    cni: Cni, host: Host, container: Space
) -> None:
    """With linkInContainer a VLAN of the container's own link is made, held there."""
    outside_ = host.space()
    container.run("ip", "link", "add", "net1", "type", "veth", "peer", "name", "far")
    container.run("ip", "link", "set", "net1", "up")
    container.run("ip", "link", "set", "far", "netns", outside_.name)
    inside = conf(master="net1", linkInContainer=True)
    cni.ok("vlan", "ADD", inside, netns=container)
    assert options(container)["id"] == 100
    error = cni.refused("vlan", "ADD", inside, netns=container, ifname="eth1")
    assert "held by container c1 interface eth0 on net" in error["msg"]
    cni.ok("vlan", "DEL", inside, netns=container)
    assert names(container) == ["lo", "net1"]


@pytest.mark.usefixtures("neighbour")
def test_chained_link_is_the_master(cni: Cni, container: Space) -> None:
    """Without `master` it is the link that prevResult names; addresses come along."""
    given = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0"}],
        "ips": [{"address": "203.0.113.7/24", "interface": 0}],
    }
    wanted = conf(master=None, ipam=None, prevResult=given)
    result = cni.ok("vlan", "ADD", wanted, netns=container)
    assert [i["sandbox"] for i in result["interfaces"]] == [container.path]
    assert result["ips"] == [{"address": "203.0.113.7/24", "interface": 0}]
    assert answers(container, NEIGHBOUR)
    cni.ok("vlan", "CHECK", with_result(wanted, result), netns=container)
    cni.ok("vlan", "DEL", with_result(wanted, result), netns=container)
    assert names(container) == ["lo"]
    cni.ok("vlan", "STATUS", conf(master=None, ipam=None))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"vlanId": 4095}, (7, "parse vlanId: 4095 is not between 0 and 4094")),
        ({"vlanId": -1}, (7, "parse vlanId: -1 is not")),
        ({"master": None}, (7, "parse master: it is empty")),
        ({"master": "absent"}, (999, "find master absent: no such device")),
        ({"mtu": 9000}, (7, "parse mtu: 9000 is more than the 1500 of eth0")),
        (
            {"master": None, "prevResult": {"cniVersion": "1.1.0"}},
            (7, "find master: prevResult does not name a single link"),
        ),
    ],
)
def test_bad_values_change_nothing(
    cni: Cni,
    neighbour: Space,
    container: Space,
    keys: dict[str, Any],
    said: tuple[int, str],
) -> None:
    """What cannot be is refused before anything is made."""
    before = picture(container, neighbour)
    error = cni.refused("vlan", "ADD", conf(**keys), netns=container)
    assert (error["code"], said[1] in error["msg"]) == (said[0], True)
    assert picture(container, neighbour) == before


@pytest.mark.thorough
@pytest.mark.usefixtures("neighbour")
def test_priority_tag_is_a_vlan_of_its_own(cni: Cni, container: Space) -> None:
    """vlanId 0, as the reference has it without the key, tags with a priority only."""
    cni.ok("vlan", "ADD", conf(vlanId=None), netns=container)
    assert options(container)["id"] == 0


@pytest.mark.thorough
@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("ip link set eth0 down", "it is down"),
        ("ip addr del 203.0.113.100/24 dev eth0", "it lacks 203.0.113.100/24"),
        ("ip link set eth0 address 02:00:00:00:00:09", "its MAC is 02:00:00:00:00:09"),
        ("ip link del eth0", "it does not exist"),
        ("ip link set eth0 alias 'cni net other eth0'", "it is not the vlan of ADD"),
    ],
)
def test_check_names_what_is_missing(
    cni: Cni, container: Space, harm: str, words: str
) -> None:
    """CHECK raises code 999 and names the first thing that is not as ADD left it."""
    result = cni.ok("vlan", "ADD", conf(), netns=container)
    container.run("sh", "-c", harm)
    error = cni.refused("vlan", "CHECK", with_result(conf(), result), netns=container)
    assert (error["code"], words in error["msg"]) == (999, True)


@pytest.mark.thorough
@pytest.mark.usefixtures("neighbour")
def test_check_notices_another_vlan(cni: Cni, container: Space) -> None:
    """CHECK raises when the configuration asks for another VLAN than ADD made."""
    result = cni.ok("vlan", "ADD", conf(), netns=container)
    other = with_result(conf(vlanId=101), result)
    error = cni.refused("vlan", "CHECK", other, netns=container)
    assert error["msg"] == "check interface eth0: its VLAN is 100, not 101"


@pytest.mark.thorough
def test_delete_needs_no_master(cni: Cni, neighbour: Space, container: Space) -> None:
    """The lease goes though the master, and the link with it, is gone."""
    del neighbour
    cni.ok("vlan", "ADD", conf(), netns=container)
    run("ip", "link", "del", "eth0")
    cni.ok("vlan", "DEL", conf(), netns=container)
    assert files() == {}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("keys", "msg"),
    [
        ({"master": "absent"}, "find master absent: no such device"),
        ({"mtu": 9000}, "parse mtu: 9000 is more than the 1500 of eth0"),
    ],
)
@pytest.mark.usefixtures("neighbour")
def test_status_says_what_add_would_lack(
    cni: Cni, keys: dict[str, Any], msg: str
) -> None:
    """STATUS is code 50 when ADD could not work, and succeeds when it could."""
    cni.ok("vlan", "STATUS", conf())
    error = cni.refused("vlan", "STATUS", conf(**keys))
    assert (error["code"], error["msg"]) == (50, msg)
