# SPDX-License-Identifier: Apache-2.0
"""Whether the calling thread's namespace is a router (networking/ip-sysctl.rst)."""

from __future__ import annotations

import os

from cni_common.kernel import sysctl

_NAME = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


def enable(version: int) -> None:
    """Have packets of IP `version` (4 or 6) forwarded; raises code 999.

    A host that becomes an IPv6 router stops to accept router advertisements where
    accept_ra is 1. Its own uplinks keep theirs: accept_ra becomes 2 there.
    """
    name = _NAME[version]
    if sysctl.get(name) == "1":
        return
    if version == 6:  # noqa: PLR2004 - the family's number
        _keep_router_advertisements()
    sysctl.set_value(name, "1")


def is_enabled(version: int) -> bool:
    """Tell whether packets of IP `version` are forwarded."""
    return sysctl.get(_NAME[version]) == "1"


def can_enable(version: int) -> bool:
    """Tell whether `enable` would succeed."""
    return is_enabled(version) or sysctl.writable(_NAME[version])


def _keep_router_advertisements() -> None:
    try:
        links = os.listdir("/proc/sys/net/ipv6/conf")
    except OSError:
        return
    for link in links:
        name = f"net/ipv6/conf/{link}/accept_ra"
        if link not in {"all", "default", "lo"} and sysctl.get(name) == "1":
            sysctl.set_if_present(name, "2")
