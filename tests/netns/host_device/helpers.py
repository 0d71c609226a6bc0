# SPDX-License-Identifier: Apache-2.0
"""A device of the host that the tests of host-device lend, and what is shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab import ip, run

if TYPE_CHECKING:
    from lab import Host, Space

MAC = "02:00:00:00:05:05"
IPV4 = {
    "type": "host-local",
    "ranges": [[{"subnet": "198.51.100.0/24", "rangeStart": "198.51.100.100"}]],
    "routes": [{"dst": "192.0.2.0/24", "gw": "198.51.100.2", "mtu": 1300}],
}


def conf(**keys: Any) -> dict[str, Any]:
    """Return a loan of ens5 with one IPv4 address; a key that is None is left out."""
    whole = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "host-device",
        "device": "ens5",
        "ipam": IPV4,
        **keys,
    }
    return {key: value for key, value in whole.items() if value is not None}


def wired(host: Host, name: str = "ens5", number: int = 2) -> Space:
    """Return the namespace at the other end of a new device: .2 of 198.51.100.0/24.

    The device is up, promiscuous, and has an MTU and an alias of its own.
    """
    space = host.space("ext")
    peer = ("peer", "name", "eth0", "address", f"02:00:00:00:{number:02x}:01")
    words = ("address", MAC, "mtu", "1450", "type", "veth", *peer)
    run("ip", "link", "add", name, *words, "netns", space.name)
    run("ip", "link", "set", name, "promisc", "on", "alias", "port 5 of the rack")
    run("ip", "link", "set", name, "up")
    run("ip", "-n", space.name, "link", "set", "eth0", "up", "mtu", "1450")
    address = f"198.51.100.{number}/24"
    run("ip", "-n", space.name, "addr", "add", address, "dev", "eth0")
    return space


def in_use(host: Host) -> Space:
    """Return what is at the other end of ens5, which the host itself uses until now."""
    space = wired(host)
    run("ip", "addr", "add", "198.51.100.1/24", "brd", "+", "dev", "ens5")
    run("ip", "addr", "add", "fd00:5::1/64", "dev", "ens5", "nodad")
    run("ip", "route", "add", "default", "via", "198.51.100.2", "metric", "50")
    run("ip", "route", "add", "203.0.113.0/24", "dev", "ens5", "scope", "link")
    return space


def device(name: str = "ens5") -> dict[str, Any]:
    """Return a link of the host as ip shows it."""
    (found,) = ip("addr", "show", name)
    return dict(found)


def on_host() -> list[str]:
    """Return the names of the host's links."""
    return [link["ifname"] for link in ip("link", "show")]
