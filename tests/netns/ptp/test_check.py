# SPDX-License-Identifier: Apache-2.0
"""ptp: CHECK passes after ADD, and names what is not as ADD left it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.ptp.helpers import DUAL, conf, with_result

if TYPE_CHECKING:
    from lab import Cni, Host, Space

WANTED = conf(ipMasq=True, ipam=DUAL, mtu=1400)
# What somebody does, HOST being the host's end; and what CHECK says of it.
HARM = [
    ("ip -n CTR addr del 10.1.2.2/24 dev eth0", "interface eth0: it lacks 10.1.2.2/24"),
    (
        "ip -n CTR addr del fd00:1::2/64 dev eth0",
        "interface eth0: it lacks fd00:1::2/64",
    ),
    (
        "ip -n CTR route del 10.1.2.0/24",
        "interface eth0: it lacks the route 10.1.2.0/24 via 10.1.2.1",
    ),
    (
        "ip -n CTR route del fd00:1::1",
        "interface eth0: it lacks the route fd00:1::1/128",
    ),
    (
        "ip -n CTR route del default",
        "interface eth0: it lacks the route 0.0.0.0/0 via 10.1.2.1",
    ),
    ("ip -n CTR link set eth0 down", "interface eth0: it is down"),
    (
        "ip -n CTR link set eth0 address 02:00:00:00:00:09",
        "interface eth0: its MAC is 02:00:00:00:00:09, not MAC1",
    ),
    ("ip -n CTR link del eth0", "interface eth0: it does not exist"),
    ("ip link set HOST down", "interface HOST: it is down"),
    (
        "ip link set HOST address 02:00:00:00:00:09",
        "interface HOST: its MAC is 02:00:00:00:00:09, not MAC0",
    ),
    ("ip link set HOST mtu 1300", "interface HOST: its MTU is 1300, not 1400"),
    ("ip addr del 10.1.2.1/32 dev HOST", "interface HOST: it lacks 10.1.2.1/32"),
    ("ip addr del fd00:1::1/128 dev HOST", "interface HOST: it lacks fd00:1::1/128"),
    (
        "ip route del 10.1.2.2",
        "interface HOST: it lacks the route 10.1.2.2/32",
    ),
    (
        "ip -6 route del fd00:1::2",
        "interface HOST: it lacks the route fd00:1::2/128",
    ),
    ("sysctl -qw net.ipv4.ip_forward=0", "forwarding: IPv4 is not forwarded"),
    ("sysctl -qw net.ipv6.conf.all.forwarding=0", "forwarding: IPv6 is not forwarded"),
    (
        "nft flush chain inet cnipy_masquerade postrouting",
        "masquerade of 10.1.2.0/24: its rule is missing",
    ),
    ("nft flush ruleset", "masquerade of 10.1.2.0/24: its rule is missing"),
]


@pytest.mark.parametrize(("harm", "found"), HARM)
def test_check_names_what_is_missing(
    cni: Cni, container: Space, harm: str, found: str
) -> None:
    """CHECK passes after ADD, and names the one thing that somebody changed."""
    result = cni.ok("ptp", "ADD", WANTED, netns=container)
    told = with_result(WANTED, result)
    cni.ok("ptp", "CHECK", told, netns=container)
    words = {"CTR": container.name, "HOST": result["interfaces"][0]["name"]}
    run(*(words.get(word, word) for word in harm.split()))
    error = cni.refused("ptp", "CHECK", told, netns=container)
    expected = found.replace("HOST", words["HOST"])
    for number in (0, 1):
        mac = result["interfaces"][number]["mac"]
        expected = expected.replace(f"MAC{number}", mac)
    assert error["code"] == 999
    assert error["msg"] == f"check {expected}"


def test_check_of_the_ipam_plugin_comes_first(cni: Cni, container: Space) -> None:
    """A lease that is gone is told as the IPAM plugin tells it."""
    result = cni.ok("ptp", "ADD", WANTED, netns=container)
    run("rm", "-r", "/var/lib/cni/networks/net")
    error = cni.refused("ptp", "CHECK", with_result(WANTED, result), netns=container)
    assert "10.1.2.2" in error["msg"] or "c1" in error["msg"]


def test_what_later_plugins_change_is_accepted(cni: Cni, container: Space) -> None:
    """Further addresses, routes and MTU, and a MAC that prevResult tells, pass."""
    result = cni.ok("ptp", "ADD", WANTED, netns=container)
    at = ("ip", "-n", container.name)
    run(*at, "link", "set", "eth0", "mtu", "1300")
    run(*at, "link", "set", "eth0", "address", "02:00:00:00:00:09")
    run(*at, "addr", "add", "192.0.2.7/32", "dev", "eth0")
    run(*at, "route", "add", "192.0.2.0/24", "via", "10.1.2.1")
    result["interfaces"][1]["mac"] = "02:00:00:00:00:09"
    result["ips"].append({"address": "192.0.2.7/32", "interface": 1})
    result["interfaces"].append({"name": "ifb0", "mac": "02:00:00:00:00:0a"})
    cni.ok("ptp", "CHECK", with_result(WANTED, result), netns=container)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (None, 7),
        ({"interfaces": []}, 999),
        ({"interfaces": [{"name": "eth0", "sandbox": "/run/netns/other"}]}, 999),
    ],
)
def test_check_needs_the_result(
    cni: Cni, container: Space, changed: dict[str, Any] | None, code: int
) -> None:
    """Without prevResult, or one that does not name the interface, CHECK fails."""
    result = cni.ok("ptp", "ADD", WANTED, netns=container)
    told = WANTED if changed is None else with_result(WANTED, {**result, **changed})
    assert cni.refused("ptp", "CHECK", told, netns=container)["code"] == code


def test_other_end_that_is_a_stranger(cni: Cni, host: Host) -> None:
    """An interface of the right name whose peer is somewhere else is noticed."""
    space = host.space()
    result = cni.ok("ptp", "ADD", WANTED, netns=space)
    mac = result["interfaces"][1]["mac"]
    space.run("ip", "link", "del", "eth0")
    peer = ("type", "veth", "peer", "eth0", "address", mac, "netns", space.name)
    run("ip", "link", "add", "stranger", *peer)
    space.run("ip", "link", "set", "eth0", "up")
    error = cni.refused("ptp", "CHECK", with_result(WANTED, result), netns=space)
    assert error["msg"] == (
        "check interface eth0: its peer is stranger, not in prevResult"
    )
