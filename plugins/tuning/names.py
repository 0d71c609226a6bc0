# SPDX-License-Identifier: Apache-2.0
"""Kernel parameters as a configuration names them, and where they lie (sysctl(8))."""

from __future__ import annotations

PLACEHOLDER = "IFNAME"
_SWAPPED = str.maketrans("./", "/.")


def parameter(key: str, ifname: str) -> str:
    """Return the path of `key` under /proc/sys: "net/ipv4/conf/eth0/arp_filter".

    The first separator decides, as in sysctl(8): behind "net." a dot separates and a
    slash stands for a dot in a name, behind "net/" a dot is a dot. The first "IFNAME"
    becomes `ifname`, whose dots stay. Raises ValueError for what is not below net.
    """
    separators = [c for c in key if c in "./"]
    path = key.translate(_SWAPPED) if separators[:1] == ["."] else key
    parts = path.split("/")
    if (
        len(parts) < 2  # noqa: PLR2004 - net itself is a directory
        or parts[0] != "net"
        or not {"", ".", ".."}.isdisjoint(parts)
        or any(c.isspace() or not c.isprintable() for c in key)
    ):
        msg = f"{key!r} is no parameter below net"
        raise ValueError(msg)
    return path.replace(PLACEHOLDER, ifname, 1)
