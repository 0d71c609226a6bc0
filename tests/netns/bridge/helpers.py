# SPDX-License-Identifier: Apache-2.0
"""Configurations that the tests of bridge share, and what a link has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab import ip

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


def conf(**keys: Any) -> dict[str, Any]:
    """Return a gateway bridge with one IPv4 range; a key that is None is left out."""
    whole = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "bridge",
        "bridge": "br0",
        "isGateway": True,
        "ipam": IPV4,
        **keys,
    }
    return {key: value for key, value in whole.items() if value is not None}


def layer2(**keys: Any) -> dict[str, Any]:
    """Return a bridge without addresses, changed by `keys`."""
    return conf(**{"isGateway": False, "ipam": None, **keys})


def held(space: Space, link: str = "eth0") -> list[str]:
    """Return the usable global addresses of a container's link, as ip shows them."""
    (shown,) = space.ip("addr", "show", link)
    return [
        f"{a['local']}/{a['prefixlen']}"
        for a in shown["addr_info"]
        if a["scope"] == "global" and not a.get("tentative")
    ]


def addresses(link: str) -> list[str]:
    """Return the usable global addresses of a link of the host, as ip shows them."""
    (shown,) = ip("addr", "show", link)
    return [
        f"{a['local']}/{a['prefixlen']}"
        for a in shown["addr_info"]
        if a["scope"] == "global" and not a.get("tentative")
    ]


def with_result(wanted: dict[str, Any], result: Any) -> dict[str, Any]:
    """Return the configuration as a runtime sends it to CHECK and DEL."""
    return {**wanted, "prevResult": result}


def host_end(result: dict[str, Any]) -> dict[str, Any]:
    """Return the host's end of the attachment, as ip shows it."""
    (shown,) = ip("link", "show", result["interfaces"][1]["name"])
    return dict(shown)
