# SPDX-License-Identifier: Apache-2.0
"""The same ADD again: what was taken is there again, and nobody else's is touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, nft_objects, run
from netns.bridge.helpers import DUAL, conf, host_end, with_result

if TYPE_CHECKING:
    from lab import Cni, Host, Space

BRIDGE = conf(ipam=DUAL, hairpinMode=True)
GUARDED = conf(macspoofchk=True)
PTP = {"cniVersion": "1.1.0", "name": "net", "type": "ptp", "ipam": DUAL}
MAC = "02:11:22:33:44:55"
RECORD = "/run/cni/cnipy/{}/net/c1@eth0"


def again(cni: Cni, wanted: dict[str, Any], space: Space, result: Any) -> None:
    """Assert that the same ADD answers the same, and CHECK finds nothing."""
    plugin = wanted["type"]
    assert cni.ok(plugin, "ADD", wanted, netns=space) == result
    cni.ok(plugin, "CHECK", with_result(wanted, result), netns=space)


def bound() -> list[str]:
    """Return the MACs that ports are bound to."""
    listed = nft_objects("set", "bridge", "cnipy_spoofcheck", "bound")
    elements = [e for item in listed for e in item["set"].get("elem", ())]
    return [element["elem"]["val"]["concat"][1] for element in elements]


def test_subnets_that_the_kernel_gave_are_there_again(
    container: Space, cni: Cni
) -> None:
    """Without the route to its subnet no gateway could be reached."""
    result = cni.ok("bridge", "ADD", BRIDGE, netns=container)
    for family in ("-4", "-6"):
        container.run("ip", family, "route", "flush", "dev", "eth0")
    again(cni, BRIDGE, container, result)
    assert container.reaches("10.1.2.1")
    assert container.reaches("fd00:1::1")


@pytest.mark.parametrize("wanted", [BRIDGE, PTP], ids=lambda each: each["type"])
def test_ipv6_that_was_turned_off_is_on_again(
    container: Space, cni: Cni, wanted: dict[str, Any]
) -> None:
    """Addresses of IPv6 are there again, on both sides."""
    result = cni.ok(wanted["type"], "ADD", wanted, netns=container)
    for execute in (run, container.run):
        execute("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    again(cni, wanted, container, result)
    assert container.reaches("fd00:1::1")


@pytest.mark.parametrize("wanted", [BRIDGE, PTP], ids=lambda each: each["type"])
def test_the_mtu_that_the_kernel_chose_is_there_again(
    container: Space, cni: Cni, wanted: dict[str, Any]
) -> None:
    """CHECK expects the MTU of the result also where no key names one."""
    result = cni.ok(wanted["type"], "ADD", wanted, netns=container)
    name = next(i["name"] for i in result["interfaces"] if "veth" in i["name"])
    run("ip", "link", "set", name, "mtu", "1300")
    again(cni, wanted, container, result)


@pytest.mark.parametrize("by_somebody", [False, True])
def test_a_bridge_that_is_made_again_has_its_mac(
    container: Space, cni: Cni, *, by_somebody: bool
) -> None:
    """Containers know their gateway by it, and prevResult has it."""
    result = cni.ok("bridge", "ADD", BRIDGE, netns=container)
    run("ip", "link", "delete", "br0")
    if by_somebody:
        run("ip", "link", "add", "br0", "type", "bridge")
    again(cni, BRIDGE, container, result)
    assert container.reaches("10.1.2.1")


def test_a_link_with_the_index_of_another_is_not_the_container_s(
    host: Host, cni: Cni
) -> None:
    """In another namespace the same index is another link."""
    space = host.space()
    result = cni.ok("ptp", "ADD", PTP, netns=space)
    index = ip("link", "show", result["interfaces"][0]["name"])[0]["ifindex"]
    space.run("ip", "link", "set", "eth0", "down")
    space.run("ip", "link", "set", "eth0", "name", "mine")
    peer = ("peer", "name", "p0", "index", str(index))
    space.run("ip", "link", "add", "eth0", "type", "veth", *peer)
    error = cni.refused("ptp", "ADD", PTP, netns=space)
    assert "only a new container gets another" in error["details"]
    (shown,) = space.ip("addr", "show", "eth0")
    assert not shown["addr_info"]


def test_names_of_a_link_that_is_gone_are_another_s(
    host: Host, cni: Cni, container: Space
) -> None:
    """A port that somebody made by the name of the lost one has no flags of ours."""
    result = cni.ok("bridge", "ADD", BRIDGE, netns=container)
    name = host_end(result)["ifname"]
    run("ip", "link", "set", name, "down")
    run("ip", "link", "set", name, "name", "renamed")
    run("ip", "link", "add", name, "type", "veth", "peer", "other")
    run("ip", "link", "add", "theirs", "type", "bridge")
    run("ip", "link", "set", name, "master", "theirs")
    cni.refused("bridge", "ADD", BRIDGE, netns=container)
    (shown,) = ip("link", "show", name)
    assert not shown["linkinfo"]["info_slave_data"]["hairpin"]
    del host


def test_a_container_does_not_choose_what_it_is_bound_to(
    container: Space, cni: Cni
) -> None:
    """After a flush the port is bound to the MAC that ADD gave, not to a forged one."""
    result = cni.ok("bridge", "ADD", GUARDED, netns=container)
    container.run("ip", "link", "set", "eth0", "address", MAC)
    run("nft", "flush", "ruleset")
    cni.ok("bridge", "ADD", GUARDED, netns=container)
    assert bound() == [result["interfaces"][2]["mac"]]


def test_the_mac_that_tuning_gave_is_bound_again(container: Space, cni: Cni) -> None:
    """After a flush the port is bound to what a later plugin of the chain gave."""
    result = cni.ok("bridge", "ADD", GUARDED, netns=container)
    tuning = {"cniVersion": "1.1.0", "name": "net", "type": "tuning", "mac": MAC}
    cni.ok("tuning", "ADD", with_result(tuning, result), netns=container)
    run("nft", "flush", "ruleset")
    cni.ok("bridge", "ADD", GUARDED, netns=container)
    assert bound() == [MAC]


def test_other_arguments_are_another_configuration(container: Space, cni: Cni) -> None:
    """CNI_ARGS can ask for a MAC or an address, which an interface has already."""
    cni.ok("bridge", "ADD", BRIDGE, netns=container)
    args = f"IgnoreUnknown=1;MAC={MAC}"
    error = cni.refused("bridge", "ADD", BRIDGE, netns=container, args=args)
    assert error["msg"] == "add interface eth0: it already exists"


@pytest.mark.parametrize("result", [None, {}])
def test_a_record_without_a_result_is_no_reason_to_attach_again(
    container: Space, cni: Cni, result: Any
) -> None:
    """The interface is there; what is on record of it stays, for DEL."""
    cni.ok("bridge", "ADD", BRIDGE, netns=container)
    path = RECORD.format("bridge")
    with open(path, encoding="utf-8") as file:
        noted = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**noted, "result": result}, file)
    error = cni.refused("bridge", "ADD", BRIDGE, netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    cni.ok("bridge", "DEL", BRIDGE, netns=container)
    assert not [link for link in ip("link") if "veth" in link["ifname"]]
