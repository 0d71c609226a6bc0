# SPDX-License-Identifier: Apache-2.0
"""Configurations that the tests of macvlan share, and what they look with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab import Space

DUAL = {
    "type": "host-local",
    "ranges": [
        [{"subnet": "198.51.100.0/24", "rangeStart": "198.51.100.100"}],
        [{"subnet": "2001:db8:99::/64", "rangeStart": "2001:db8:99::100"}],
    ],
    "routes": [{"dst": "192.0.2.0/24", "gw": "198.51.100.2", "mtu": 1300}],
}


def conf(**keys: Any) -> dict[str, Any]:
    """Return a macvlan on the uplink of the host; a key that is None is left out."""
    whole = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "macvlan",
        "master": "eth0",
        "ipam": DUAL,
        **keys,
    }
    return {key: value for key, value in whole.items() if value is not None}


def shown(space: Space, link: str = "eth0") -> dict[str, Any]:
    """Return a link of a container as ip shows it."""
    (found,) = space.ip("addr", "show", link)
    return dict(found)


def options(space: Space, link: str = "eth0") -> dict[str, Any]:
    """Return what ip shows of a macvlan's own options."""
    return dict(shown(space, link)["linkinfo"]["info_data"])


def names(space: Space) -> list[str]:
    """Return the names of a container's links."""
    return [link["ifname"] for link in space.ip("link", "show")]


def answers(space: Space, address: str) -> bool:
    """Tell whether `address` answers within some seconds.

    The neighbour of a laboratory has its IPv6 address a second after its link.
    """
    return any(space.reaches(address) for _ in range(5))
