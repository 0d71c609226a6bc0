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


def is_same(shown: str | None, wanted: str) -> bool:
    """Tell whether the kernel shows `wanted`, be it spaced or written otherwise.

    The kernel separates by tabs, takes numbers in octal and hexadecimal, and shows
    IPv6 addresses in full.
    """
    if shown is None:
        return False
    ours, theirs = wanted.split(), shown.split()
    return ours == theirs or [_meant(x) for x in ours] == [_meant(x) for x in theirs]


def _meant(text: str) -> object:
    digits = text.removeprefix("-")
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    try:
        if ":" in text:
            from ipaddress import ip_address  # noqa: PLC0415 - rarely needed

            return ip_address(text)
        return int(text, 8 if octal else 0)
    except ValueError:
        return text
