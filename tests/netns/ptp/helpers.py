# SPDX-License-Identifier: Apache-2.0
"""Configurations that the tests of ptp share, and what they look at."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lab import ip, nft_objects
from pictures import files

if TYPE_CHECKING:
    from lab import Space

IPV4 = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.2.0/24"}]],
    "routes": [{"dst": "0.0.0.0/0"}],
}
DUAL = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00:1::/64"}]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}
LEASES = "/var/lib/cni/networks/net"


def conf(**keys: Any) -> dict[str, Any]:
    """Return ptp with one IPv4 range; a key that is None is left out."""
    whole = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "ptp",
        "ipam": IPV4,
        **keys,
    }
    return {key: value for key, value in whole.items() if value is not None}


def addressed(*addresses: str, **keys: Any) -> dict[str, Any]:
    """Return ptp whose addresses the configuration names, gateways after a space."""
    listed = []
    for text in addresses:
        address, _, gateway = text.partition(" ")
        listed.append({"address": address} | ({"gateway": gateway} if gateway else {}))
    return conf(ipam={"type": "static", "addresses": listed}, **keys)


def with_result(wanted: dict[str, Any], result: Any) -> dict[str, Any]:
    """Return the configuration as a runtime sends it to CHECK and DEL."""
    return {**wanted, "prevResult": result}


def leases() -> list[str]:
    """Return the addresses that host-local has given away."""
    names = os.listdir(LEASES) if os.path.isdir(LEASES) else []
    return sorted(name for name in names if name[0] in "1f")


def links() -> list[str]:
    """Return the names of the host's links."""
    return [link["ifname"] for link in ip("link", "show")]


def left(*spaces: Space) -> dict[str, Any]:
    """Return what there still is of any attachment."""
    inside = [link["ifname"] for space in spaces for link in space.ip("link", "show")]
    routes = [route for family in ("-4", "-6") for route in ip(family, "route", "show")]
    return {
        "links": sorted({*links(), *inside} - {"lo"}),
        "routes": [r["dst"] for r in routes if r["dst"] not in {"::1", "fe80::/64"}],
        "leases": leases(),
        "rules": nft_objects("ruleset"),
        "files": files(),
    }


NOTHING: dict[str, Any] = {
    "links": [],
    "routes": [],
    "leases": [],
    "rules": [],
    "files": {},
}
