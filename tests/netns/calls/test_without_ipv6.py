# SPDX-License-Identifier: Apache-2.0
"""Hosts that have IPv6 off, or whose kernel has none."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from faults import refused
from lab import run
from netns.bridge.helpers import DUAL, conf, with_result
from pictures import picture

from cni_common import masquerade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host, Space


@pytest.fixture
def off(host: Host) -> Host:
    """A host with IPv6 off by sysctl, as its administrator has it."""
    for link in ("all", "default"):
        run("sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1")
    return host


@contextmanager
def kernel_without_ipv6() -> Iterator[None]:
    """Show no parameter of IPv6, as with ipv6.disable=1."""
    run("mount", "-t", "tmpfs", "tmpfs", "/proc/sys/net")
    try:
        yield
    finally:
        run("umount", "/proc/sys/net")


def disable_ipv6(link: str) -> str:
    """Return what the kernel says of the link's parameter."""
    return run("sysctl", "-n", f"net/ipv6/conf/{link}/disable_ipv6").strip()


PTP = {"cniVersion": "1.1.0", "name": "net", "type": "ptp", "ipam": DUAL}
CHAIN: list[dict[str, Any]] = [
    {
        "type": "portmap",
        "runtimeConfig": {
            "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
        },
    },
    {"type": "firewall", "ingressPolicy": "same-bridge"},
    {"type": "tuning", "sysctl": {"net.ipv6.conf.IFNAME.accept_ra": "0"}},
]


@pytest.mark.parametrize(
    "first", [conf(ipam=DUAL, ipMasq=True), PTP | {"ipMasq": True}]
)
def test_dual_stack_list_works(cni: Cni, off: Host, first: dict[str, Any]) -> None:
    """The links of the network have IPv6, whatever the host has by default."""
    space = off.space()
    space.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    loopback = {"cniVersion": "1.1.0", "name": "net", "type": "loopback"}
    cni.ok("loopback", "ADD", loopback, netns=space, ifname="lo")
    result = cni.ok(first["type"], "ADD", first, netns=space)
    for gateway in ("10.1.2.1", "fd00:1::1"):
        assert space.reaches(gateway)
    link = result["interfaces"][0]["name"]
    assert disable_ipv6(link) == "0"
    assert disable_ipv6("default") == disable_ipv6("lo") == "1"
    cni.ok(first["type"], "CHECK", with_result(first, result), netns=space)
    for plugin in CHAIN:
        wanted = {"cniVersion": "1.1.0", "name": "net", **plugin}
        chained = with_result(wanted, result)
        result = cni.ok(plugin["type"], "ADD", chained, netns=space)
        cni.ok(plugin["type"], "CHECK", with_result(wanted, result), netns=space)
    assert space.reaches("fd00:1::1")


def test_bridge_of_the_administrator_gets_ipv6(cni: Cni, off: Host) -> None:
    """A bridge that is to be an IPv6 gateway has IPv6, and no router tells it more."""
    run("ip", "link", "add", "br0", "type", "bridge")
    space = off.space()
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=space)
    assert space.reaches("fd00:1::1")
    assert run("sysctl", "-n", "net.ipv6.conf.br0.accept_ra").strip() == "0"


def test_ipv4_list_leaves_it_off(cni: Cni, off: Host) -> None:
    """Without an IPv6 address nobody switches IPv6 on."""
    cni.ok("bridge", "ADD", conf(), netns=off.space())
    assert disable_ipv6("br0") == "1"


def test_failed_add_switches_it_off_again(
    cni: Cni, off: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failed ADD switched on is off again on a bridge that was there."""
    run("ip", "link", "add", "br0", "type", "bridge")

    def refuse(*_: object) -> None:
        assert disable_ipv6("br0") == "0"
        raise refused()

    monkeypatch.setattr(masquerade, "ensure", refuse)
    wanted = conf(ipam=DUAL, ipMasq=True)
    cni.refused("bridge", "ADD", wanted, netns=off.space())
    assert disable_ipv6("br0") == "1"


@pytest.mark.parametrize("plugin", ["bridge", "ptp", "macvlan"])
def test_kernel_without_ipv6_is_named(cni: Cni, container: Space, plugin: str) -> None:
    """One message says that the kernel has no IPv6, and what to do; nothing stays."""
    run("ip", "link", "add", "eth9", "type", "veth", "peer", "name", "eth8")
    before = picture(container)
    wanted = {**conf(ipam=DUAL), "type": plugin, "master": "eth9"}
    with kernel_without_ipv6():
        error = cni.refused(plugin, "ADD", wanted, netns=container)
    assert error["msg"].endswith(": this kernel has none")
    assert error["msg"].startswith("enable IPv6 on ")
    assert "ipv6.disable=1" in error["details"]
    assert picture(container) == before


def test_link_too_small_for_ipv6_is_named(cni: Cni, container: Space) -> None:
    """A link whose MTU leaves no IPv6 says so."""
    error = cni.refused("bridge", "ADD", conf(ipam=DUAL, mtu=1000), netns=container)
    assert error["msg"] == "enable IPv6 on eth0: it can have none"
    assert error["details"] == "IPv6 needs an MTU of 1280 bytes"
