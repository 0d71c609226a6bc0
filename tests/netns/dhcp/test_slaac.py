# SPDX-License-Identifier: Apache-2.0
"""IPv6 by router advertisements: the kernel's address is waited for and told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.dhcp.helpers import CONF, Keeper, Lan, conf, recorded, until

if TYPE_CHECKING:
    from lab import Cni, Space

ROUTER = "fd00:77::1"


def advertise(lan: Lan) -> None:
    """Have the server be a router of IPv6, too."""
    at = ("-n", lan.server.name, "addr", "add", f"{ROUTER}/64", "dev", "eth0", "nodad")
    run("ip", *at)
    lan.server.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    lan.serve("--enable-ra", "--dhcp-range=fd00:77::,ra-only,64,2h")


def advertised(space: Space) -> dict[str, Any]:
    """Return the address of the container that the kernel has made."""
    (shown,) = space.ip("addr", "show", "eth0")
    (found,) = [a for a in shown["addr_info"] if a["local"].startswith("fd00:77:")]
    return dict(found)


@pytest.mark.parametrize("leased", [1, 0])
def test_address_of_the_kernel_is_told_and_stays_the_kernels(
    lan: Lan, keeper: Keeper, cni: Cni, leased: int
) -> None:
    """Beside a lease or alone; the bridge leaves it its lifetime."""
    if not leased:
        keeper.kill()
    advertise(lan)
    space = lan.host.space()
    ipam = {"type": "dhcp", "slaac": True, "ipv4": bool(leased)}
    document = {**CONF, "type": "bridge", "bridge": "br0", "ipam": ipam}
    result = cni.ok("bridge", "ADD", document, netns=space)
    found = advertised(space)
    told = [ip["address"] for ip in result["ips"]]
    assert told[-1] == f"{found['local']}/64"
    assert len(told) == 1 + leased
    assert found["dynamic"]
    assert found["valid_life_time"] <= 7200
    assert space.reaches(ROUTER)
    cni.ok("bridge", "CHECK", {**document, "prevResult": result}, netns=space)
    assert cni.ok("bridge", "ADD", document, netns=space) == result
    cni.ok("bridge", "DEL", document, netns=space)
    until(lambda: not lan.leased() and recorded() == [])


def test_no_router_is_an_error_and_gives_the_lease_back(
    lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """ADD is both or nothing."""
    del keeper
    lan.serve()
    document = conf(slaac=True, timeout=3)
    error = cni.refused("dhcp", "ADD", document, netns=lan.container())
    assert error["code"] == 11
    assert error["msg"] == ("await IPv6 address of eth0: no router has advertised one")
    until(lambda: not lan.leased() and recorded() == [])


def test_no_family_is_an_error(lan: Lan, cni: Cni) -> None:
    """Somebody meant something else."""
    error = cni.refused("dhcp", "ADD", conf(ipv4=False), netns=lan.container())
    assert (error["code"], error["msg"]) == (
        7,
        "parse ipam: neither ipv4, slaac nor dhcpv6 is asked for",
    )
