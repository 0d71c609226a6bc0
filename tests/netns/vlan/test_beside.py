# SPDX-License-Identifier: Apache-2.0
"""A VLAN of the container's own interface, by the list that made that: eth0.100."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bridge import helpers as bridge
from netns.bridge.helpers import with_result
from netns.macvlan.helpers import answers, names, options
from netns.vlan.helpers import IPAM, STATIC, beside
from pictures import files, picture

if TYPE_CHECKING:
    from lab import Cni, Space

pytestmark = pytest.mark.needs_kernel("802.1q")
VALID = "cni.dev/valid-attachments"


@pytest.fixture
def first(cni: Cni, container: Space) -> Any:
    """What the bridge before it answered for the container, with VLAN 100 there."""
    result = cni.ok("bridge", "ADD", bridge.conf(), netns=container)
    run("ip", "link", "add", "link", "br0", "br0.100", "type", "vlan", "id", "100")
    run("ip", "addr", "add", "203.0.113.1/24", "dev", "br0.100")
    run("ip", "link", "set", "br0.100", "up")
    return result


@pytest.mark.parametrize("master", ["eth0", None])
def test_vlan_beside_the_interface_of_the_list(
    cni: Cni, container: Space, first: Any, master: str | None
) -> None:
    """A list of bridge and vlan gives both, which talk; DEL takes the VLAN alone."""
    before = picture(container)
    wanted = beside(master=master)
    given = with_result(wanted, first)
    result = cni.ok("vlan", "ADD", given, netns=container)
    assert names(container) == ["lo", "eth0", "eth0.100"]
    assert options(container, "eth0.100")["id"] == 100
    assert answers(container, "203.0.113.1")
    assert answers(container, "10.1.2.1")
    assert result["interfaces"][: len(first["interfaces"])] == first["interfaces"]
    last = result["interfaces"][-1]
    assert (last["name"], last["sandbox"]) == ("eth0.100", container.path)
    own = {"address": "203.0.113.9/24", "interface": len(first["interfaces"])}
    assert result["ips"] == [*first["ips"], own]
    assert result["routes"][-1] == STATIC["routes"][0]
    assert cni.ok("vlan", "ADD", given, netns=container) == result
    stored = with_result(wanted, result)
    cni.ok("vlan", "CHECK", stored, netns=container)
    cni.ok("bridge", "CHECK", with_result(bridge.conf(), result), netns=container)
    cni.ok("vlan", "DEL", stored, netns=container)
    assert picture(container) == before


def test_without_addresses_those_of_the_interface_stay_its_own(
    cni: Cni, container: Space, first: Any
) -> None:
    """Without ipam the VLAN is up and has none: eth0 has those of prevResult."""
    wanted = beside(ipam=None)
    result = cni.ok("vlan", "ADD", with_result(wanted, first), netns=container)
    assert (result["ips"], result.get("routes")) == (first["ips"], first.get("routes"))
    (link,) = container.ip("addr", "show", "eth0.100")
    assert "UP" in link["flags"]
    assert [a for a in link["addr_info"] if a["scope"] == "global"] == []
    cni.ok("vlan", "CHECK", with_result(wanted, result), netns=container)


@pytest.mark.thorough
def test_check_names_what_is_missing(cni: Cni, container: Space, first: Any) -> None:
    """CHECK looks at the VLAN, not at the interface that is called CNI_IFNAME."""
    result = cni.ok("vlan", "ADD", with_result(beside(), first), netns=container)
    container.run("ip", "addr", "del", "203.0.113.9/24", "dev", "eth0.100")
    stored = with_result(beside(), result)
    error = cni.refused("vlan", "CHECK", stored, netns=container)
    assert error["msg"] == "check interface eth0.100: it lacks 203.0.113.9/24"
    container.run("ip", "link", "del", "eth0.100")
    error = cni.refused("vlan", "CHECK", stored, netns=container)
    assert error["msg"] == "check interface eth0.100: it does not exist"


@pytest.mark.thorough
@pytest.mark.parametrize("recorded", [True, False])
def test_gc_and_delete_take_the_vlan_alone(
    cni: Cni, container: Space, first: Any, *, recorded: bool
) -> None:
    """GC goes by the attachment, which is CNI_IFNAME's; DEL needs no record."""
    given = with_result(beside(), first)
    cni.ok("vlan", "ADD", given, netns=container)
    valid = [{"containerID": "c1", "ifname": "eth0"}]
    cni.ok("vlan", "GC", beside(**{VALID: valid}))
    assert names(container) == ["lo", "eth0", "eth0.100"]
    if recorded:
        cni.ok("vlan", "GC", beside(**{VALID: []}))
    else:
        run("rm", "-r", "/run/cni/cnipy/vlan")
        cni.ok("vlan", "DEL", beside(), netns=container)
    assert names(container) == ["lo", "eth0"]
    cni.ok("vlan", "ADD", given, netns=container)


@pytest.mark.thorough
def test_second_vlan_of_a_list_is_refused(
    cni: Cni, container: Space, first: Any
) -> None:
    """One record stands for both: the first one stays."""
    result = cni.ok("vlan", "ADD", with_result(beside(), first), netns=container)
    second = with_result(beside(vlanId=200), result)
    error = cni.refused("vlan", "ADD", second, netns=container)
    assert error["msg"] == "add interface eth0.200: vlan has made eth0.100 already"
    assert names(container) == ["lo", "eth0", "eth0.100"]


@pytest.mark.thorough
def test_name_that_is_too_long_is_refused(cni: Cni, container: Space) -> None:
    """A link's name has up to 15 bytes."""
    wanted = beside(master="container01", vlanId=4000)
    error = cni.refused("vlan", "ADD", wanted, netns=container, ifname="container01")
    assert error["msg"].startswith("parse master: container01.4000 is too long")


@pytest.mark.thorough
def test_whole_list_with_leases_of_both(cni: Cni, container: Space, first: Any) -> None:
    """host-local gives to both, of a range each; DEL of the list gives back all."""
    wanted = beside(ipam=IPAM)
    result = cni.ok("vlan", "ADD", with_result(wanted, first), netns=container)
    assert answers(container, "203.0.113.1")
    for verb in ("CHECK", "DEL"):
        for conf in (wanted, bridge.conf()):
            stored = with_result(conf, result)
            cni.ok(conf["type"], verb, stored, netns=container)
    assert (names(container), files()) == (["lo"], {})
