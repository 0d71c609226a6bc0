# SPDX-License-Identifier: Apache-2.0
"""ptp: ADD where interface or address are somebody's already, or cannot be had."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from lab import ip, run
from netns.ptp.helpers import DUAL, addressed, conf, leases
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space


WANTED = conf(ipMasq=True, ipam=DUAL)


def test_repeated_add_keeps_the_attachment(cni: Cni, host: Host) -> None:
    """A second ADD of a living attachment, here or elsewhere, changes nothing."""
    one, two = host.space(), host.space()
    result = cni.ok("ptp", "ADD", WANTED, netns=one)
    before = picture(one, two)
    assert cni.ok("ptp", "ADD", WANTED, netns=one) == result
    error = cni.refused("ptp", "ADD", {**WANTED, "mtu": 1300}, netns=one)
    assert error["msg"] == "add interface eth0: it already exists"
    error = cni.refused("ptp", "ADD", WANTED, netns=two)
    assert error["msg"] == f"add interface eth0: container c1 has it in {one.path}"
    assert picture(one, two) == before


def test_address_of_a_living_container_is_refused(cni: Cni, host: Host) -> None:
    """Two containers with one address: the second is refused, the first unharmed."""
    one, two = host.space(), host.space()
    wanted = addressed("10.7.0.9/24", "fd00:7::9/64", ipMasq=True)
    result = cni.ok("ptp", "ADD", wanted, netns=one, container_id="one")
    before = picture(one, two)
    error = cni.refused("ptp", "ADD", wanted, netns=two, container_id="two")
    name = result["interfaces"][0]["name"]
    assert error["msg"] == "add route 10.7.0.9/32: file exists"
    assert error["details"] == (
        f"it leads through {name} of container one interface eth0 on net"
    )
    assert picture(one, two) == before


def test_route_of_the_administrator_is_not_taken(cni: Cni, container: Space) -> None:
    """A route to the address that nobody of ours made stays, and ADD says so."""
    run("ip", "route", "add", "10.7.0.9/32", "dev", "lo")
    before = picture(container)
    error = cni.refused("ptp", "ADD", addressed("10.7.0.9/24"), netns=container)
    assert error["details"] == "it leads through lo"
    assert picture(container) == before


def test_address_of_a_vanished_container_is_taken_over(cni: Cni, host: Host) -> None:
    """What is left of a container that is gone does not keep its address."""
    old, new = host.space(), host.space()
    wanted = addressed("10.7.0.9/24", ipMasq=True)
    cni.ok("ptp", "ADD", wanted, netns=old, container_id="old")
    with old.entered():
        kept = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    # As a process that lives on keeps the namespace, and so the pair, when its path
    # is gone.
    run("umount", old.path)
    try:
        result = cni.ok("ptp", "ADD", wanted, netns=new, container_id="new")
    finally:
        os.close(kept)
    (route,) = ip("route", "show", "10.7.0.9")
    assert route["dev"] == result["interfaces"][0]["name"]
    assert run("busybox", "ping", "-c1", "-W1", "10.7.0.9")
    cni.ok("ptp", "DEL", wanted, container_id="old")
    cni.ok(
        "ptp", "CHECK", {**wanted, "prevResult": result}, netns=new, container_id="new"
    )
    assert leases() == []


@pytest.mark.parametrize(
    "route",
    [
        {"dst": "192.0.2.0/24", "gw": "10.1.2.9"},
        {"dst": "192.0.2.0/24", "gw": "203.0.113.1"},
    ],
)
def test_route_that_leads_nowhere_leaves_nothing(
    cni: Cni, container: Space, route: dict[str, str]
) -> None:
    """A route by a gateway that is not on the link fails in the kernel's words."""
    before = picture(container)
    ranges = [[{"subnet": "10.1.2.0/24"}]]
    ipam = {"type": "host-local", "ranges": ranges, "routes": [route]}
    error = cni.refused("ptp", "ADD", conf(ipam=ipam), netns=container)
    assert error["msg"].startswith(f"add route 192.0.2.0/24 via {route['gw']}: ")
    assert picture(container) == before


def test_lease_that_cannot_be_had_leaves_nothing(cni: Cni, container: Space) -> None:
    """With an IPAM plugin that fails, or that gives none, no link is made."""
    before = picture(container)
    bad = {"type": "host-local", "ranges": [[{"subnet": "10.1.2.0/31"}]]}
    cni.refused("ptp", "ADD", conf(ipam=bad), netns=container)
    assert picture(container) == before
    error = cni.refused("ptp", "ADD", addressed(), netns=container)
    assert error["msg"] == "IPAM plugin returned missing IP config"
    assert picture(container) == before
