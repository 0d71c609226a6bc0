# SPDX-License-Identifier: Apache-2.0
"""Whether the calling thread's namespace is a router (networking/ip-sysctl.rst)."""

from __future__ import annotations

import os

from cni_common.kernel import sysctl
from cni_common.spec.errors import CNIError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NAME = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


def enable(versions: Iterable[int]) -> list[tuple[str, str]]:
    """Enable forwarding for all of the IP `versions` (4, 6).

    Returns what that changed, for `revert`. Raises Code.INTERNAL.

    A host that becomes an IPv6 router stops to accept router advertisements where
    accept_ra is 1. Its own uplinks keep theirs: accept_ra becomes 2 there.
    """
    changed: list[tuple[str, str]] = []
    try:
        for version in versions:
            for name, value in _lacking(version):
                changed.append((name, sysctl.get(name) or "0"))
                sysctl.set_value(name, value)
    except CNIError:
        revert(changed)
        raise
    return changed


def revert(changed: Sequence[tuple[str, str]]) -> None:
    """Set the parameters as they were before they were `changed`."""
    for name, before in reversed(changed):
        sysctl.set_if_present(name, before)


def is_enabled(version: int) -> bool:
    """Tell whether packets of IP `version` are forwarded."""
    return sysctl.get(_NAME[version]) == "1"


def can_enable(version: int) -> bool:
    """Tell whether `enable` would succeed."""
    return is_enabled(version) or sysctl.writable(_NAME[version])


def _lacking(version: int) -> list[tuple[str, str]]:
    """Return the parameters that have to change, and to what, in order."""
    if is_enabled(version):
        return []
    uplinks = _accepting_advertisements() if version == 6 else []  # noqa: PLR2004 - the family's number
    return [*((name, "2") for name in uplinks), (_NAME[version], "1")]


def _accepting_advertisements() -> list[str]:
    try:
        links = sorted(os.listdir("/proc/sys/net/ipv6/conf"))
    except OSError:
        return []
    names = [
        f"net/ipv6/conf/{link}/accept_ra"
        for link in links
        if link not in {"all", "default", "lo"}
    ]
    return [name for name in names if sysctl.get(name) == "1"]
