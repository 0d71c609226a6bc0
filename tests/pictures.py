# SPDX-License-Identifier: Apache-2.0
"""Pictures of a host before and after, taken with ip, nft and sysctl."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lab import ip, nft_objects, run

if TYPE_CHECKING:
    from lab import Space


def files() -> dict[str, bytes]:
    """Return what lies in the plugins' directories; locks, counters, index apart."""
    found = {}
    for top in ("/run/cni/cnipy", "/var/lib/cni"):
        for directory, _, names in os.walk(top):
            if directory.startswith(
                ("/run/cni/cnipy/locks", "/run/cni/cnipy/host-local")
            ):
                continue
            for name in names:
                if name != "lock" and not name.startswith("last_reserved_ip"):
                    path = os.path.join(directory, name)
                    with open(path, "rb") as file:
                        found[path] = file.read()
    return found


# What the kernel counts by itself, or finds out some time after a link came up.
VOLATILE = {"stats", "stats64", "qdisc", "tentative", "tso_max_size"} | {
    "bridge_id",
    "root_id",
    "operstate",
}
# What a carrier does to links and routes, which the kernel notices up to a second late.
CARRIER = {"NO-CARRIER", "LOWER_UP", "linkdown"}


def steady(shown: Any, path: str) -> dict[str, Any]:
    """Return what ip shows by path, without timers and link-local addresses."""
    if path.endswith(".flags"):
        return {path: sorted(set(shown) - CARRIER)}
    if isinstance(shown, dict):
        found: dict[str, Any] = {}
        for key, value in shown.items():
            if key not in VOLATILE and not key.endswith("_timer"):
                found |= steady(value, f"{path}.{key}")
        return found
    if isinstance(shown, list):
        found = {}
        for number, item in enumerate(shown):
            if not (isinstance(item, dict) and item.get("scope") == "link"):
                found |= steady(item, f"{path}.{number}")
        return found
    return {path: shown}


def picture(*spaces: Space) -> dict[str, Any]:
    """Return everything that an ADD may change, seen by other eyes than ours."""
    shown: dict[str, Any] = {}
    for space in (None, *spaces):
        for what in ("link", "addr", "route"):
            items = space.ip(what, "show") if space else ip(what, "show")
            shown |= steady(items, f"{space.name if space else 'host'} {what}")
    forwarded = run(
        "sysctl", "-n", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"
    )
    return shown | {
        "rules": nft_objects("ruleset"),
        "files": files(),
        "forwarding": forwarded,
    }
