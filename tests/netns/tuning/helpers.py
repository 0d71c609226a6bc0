# SPDX-License-Identifier: Apache-2.0
"""A container with an interface to tune, and what is written down of it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from lab import run

if TYPE_CHECKING:
    from lab import Space

MAC = "02:00:00:00:00:11"
BACKUPS = "/run/cni/tuning"
RECORDS = "/run/cni/cnipy/tuning"
KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")
NAME = {"cniVersion": "1.1.0", "name": "net", "type": "tuning"}
ARP_FILTER = "net.ipv4.conf.IFNAME.arp_filter"
EVERYTHING: dict[str, Any] = {
    "mac": MAC,
    "mtu": 1400,
    "txQLen": 77,
    "promisc": True,
    "allmulti": True,
    "sysctl": {ARP_FILTER: "1", "net.core.somaxconn": "500"},
}


def conf(space: Space, ifname: str = "eth0", **keys: Any) -> dict[str, Any]:
    """Return a configuration with a prevResult about `ifname` in `space`."""
    previous = {
        "cniVersion": keys.get("cniVersion", "1.1.0"),
        "interfaces": [
            {"name": "br0", "mac": "02:00:00:00:00:01"},
            {"name": ifname, "mac": "02:00:00:00:00:02"},
            {"name": ifname, "mac": "02:00:00:00:00:03", "sandbox": space.path},
        ],
    }
    return {**NAME, "prevResult": previous, **keys}


def with_link(
    space: Space, name: str = "eth0", host: str = "h0", *, up: bool = True
) -> Space:
    """Have a veth `name` in `space` whose peer is `host` on the node; up or down."""
    peer = ("peer", "name", name, "netns", space.name)
    run("ip", "link", "add", host, "type", "veth", *peer)
    if up:
        run("ip", "link", "set", host, "up")
        run("ip", "-n", space.name, "link", "set", name, "up")
    return space


def link(space: Space, name: str = "eth0") -> dict[str, Any]:
    """Return the settings of a link as ip shows them, by the plugin's keys."""
    (shown,) = space.ip("link", "show", "dev", name)
    return {
        "mac": shown["address"],
        "mtu": shown["mtu"],
        "txQLen": shown.get("txqlen", 0),
        "promisc": "PROMISC" in shown["flags"],
        "allmulti": "ALLMULTI" in shown["flags"],
    }


def parameter(space: Space, path: str) -> str:
    """Return a parameter below /proc/sys in the namespace, by its path."""
    with space.entered(), open(f"/proc/sys/{path}") as file:
        return file.read().strip()


def notes() -> dict[str, Any]:
    """Return what lies in the records' and the backups' directories, by path."""
    found = {}
    for top in (BACKUPS, RECORDS):
        for directory, _, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                with open(path) as file:
                    found[path] = json.load(file)
    return found
