# SPDX-License-Identifier: Apache-2.0
"""Configurations that the tests of vlan share, and the switch that they talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netns.macvlan.helpers import DUAL

if TYPE_CHECKING:
    from lab import Host, Space

# The neighbour beyond the uplink has this network in the VLAN.
NEIGHBOUR, NEIGHBOUR6 = "203.0.113.2", "2001:db8:13::2"
IPAM = {
    **DUAL,
    "ranges": [
        [{"subnet": "203.0.113.0/24", "rangeStart": "203.0.113.100"}],
        [{"subnet": "2001:db8:13::/64", "rangeStart": "2001:db8:13::100"}],
    ],
    "routes": [{"dst": "192.0.2.0/24", "gw": NEIGHBOUR, "mtu": 1300}],
}
STATIC = {
    "type": "static",
    "addresses": [{"address": "203.0.113.9/24"}],
    "routes": [{"dst": "192.0.2.0/24", "gw": "203.0.113.1"}],
}


def conf(**keys: Any) -> dict[str, Any]:
    """Return VLAN 100 of the host's uplink; a key that is None is left out."""
    whole = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "vlan",
        "master": "eth0",
        "vlanId": 100,
        "ipam": IPAM,
        **keys,
    }
    return {key: value for key, value in whole.items() if value is not None}


def beside(**keys: Any) -> dict[str, Any]:
    """Return VLAN 100 of what an earlier plugin of the list has made as eth0."""
    whole = {"master": "eth0", "linkInContainer": True, "ipam": STATIC, **keys}
    return conf(**whole)


def outside(host: Host, vlan: int = 100) -> Space:
    """Return a neighbour beyond the uplink that is in a VLAN of it."""
    space = host.outside()
    link = ("link", "eth0", "name", "tagged", "type", "vlan", "id", str(vlan))
    space.run("ip", "link", "add", *link)
    space.run("ip", "addr", "add", f"{NEIGHBOUR}/24", "dev", "tagged")
    space.run("ip", "addr", "add", f"{NEIGHBOUR6}/64", "dev", "tagged", "nodad")
    space.run("ip", "link", "set", "tagged", "up")
    return space
