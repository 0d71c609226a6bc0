# SPDX-License-Identifier: Apache-2.0
"""ptp: a failed ADD leaves the host as it was, wherever it fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from faults import Refusal, refuse_function, refuse_request
from lab import ip, run
from netns.ptp.helpers import addressed, conf, leases
from pictures import picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Cni, Host, Space

EVERYTHING = conf(
    ipMasq=True,
    mtu=1400,
    ipam={
        "type": "host-local",
        "ranges": [
            [{"subnet": "10.1.2.0/24"}],
            [{"subnet": "10.1.3.0/24"}],
            [{"subnet": "fd00:1::/64"}],
        ],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "192.0.2.0/24", "mtu": 1300}],
    },
)


@pytest.mark.parametrize("refuse", [refuse_function, refuse_request])
def test_add_that_fails_anywhere_leaves_nothing(
    cni: Cni,
    container: Space,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[pytest.MonkeyPatch, Refusal], None],
) -> None:
    """Whichever call fails during ADD, nothing stays, and a plain retry works."""
    before = picture(container)
    tolerated: list[str] = []
    failed: list[str] = []
    n = 0
    while True:
        n += 1
        refusal = Refusal(n)
        with monkeypatch.context() as patch:
            refuse(patch, refusal)
            answer = cni("ptp", "ADD", EVERYTHING, netns=container)
        if refusal.left > 0:
            break
        (tolerated if answer.status == 0 else failed).append(refusal.where)
        if answer.status == 0:
            cni.ok("ptp", "DEL", EVERYTHING, netns=container)
            run("sysctl", "-qw", "net.ipv4.ip_forward=0")
            run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")
        after = picture(container)
        assert after == before, (n, refusal.where, answer.stdout)
    assert answer.status == 0, answer.stdout
    assert len(failed) > len(tolerated)
    assert len(failed) > 30


def test_failed_add_spares_the_neighbours(
    cni: Cni, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed ADD takes neither gateway nor rules from a living container."""
    one, two = host.space(), host.space()
    cni.ok("ptp", "ADD", EVERYTHING, netns=one, container_id="one")
    before = picture(one, two)
    failed = 0
    for n in range(5, 60, 3):
        with monkeypatch.context() as patch:
            refuse_request(patch, Refusal(n))
            answer = cni("ptp", "ADD", EVERYTHING, netns=two, container_id="two")
        failed += answer.status
        if answer.status == 0:
            cni.ok("ptp", "DEL", EVERYTHING, netns=two, container_id="two")
        assert picture(one, two) == before
    assert failed > 5


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


def test_repeated_add_keeps_the_attachment(cni: Cni, host: Host) -> None:
    """A second ADD of a living attachment, here or elsewhere, changes nothing."""
    one, two = host.space(), host.space()
    result = cni.ok("ptp", "ADD", EVERYTHING, netns=one)
    before = picture(one, two)
    assert cni.ok("ptp", "ADD", EVERYTHING, netns=one) == result
    error = cni.refused("ptp", "ADD", {**EVERYTHING, "mtu": 1300}, netns=one)
    assert error["msg"] == "add interface eth0: it already exists"
    error = cni.refused("ptp", "ADD", EVERYTHING, netns=two)
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
