# SPDX-License-Identifier: Apache-2.0
"""A router advertisement that a neighbour sends, and what the host made of it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from lab import ip

if TYPE_CHECKING:
    from lab import Space

_ADVERTISEMENT = 134
_PREFIX_INFORMATION, _ON_LINK_AND_AUTONOMOUS = 3, 0xC0
_HOUR = 3600
ALL_NODES, ROUTER = "ff02::1", "fe80::bad"


def advertise(space: Space, link: str = "eth0", prefix: str = "2001:db8:bad::") -> None:
    """Have `space` say on its link that it is a router with `prefix` (RFC 4861)."""
    # Of its own, so that no address is tentative: others than these are not believed.
    space.run("ip", "addr", "replace", f"{ROUTER}/64", "dev", link, "nodad")
    head = struct.pack("!BBHBBHII", _ADVERTISEMENT, 0, 0, 64, 0, _HOUR, 0, 0)
    option = struct.pack(
        "!BBBBIII16s",
        _PREFIX_INFORMATION,
        4,
        64,
        _ON_LINK_AND_AUTONOMOUS,
        _HOUR,
        _HOUR,
        0,
        socket.inet_pton(socket.AF_INET6, prefix),
    )
    with (
        space.entered(),
        socket.socket(
            socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6
        ) as sender,
    ):
        index = socket.if_nametoindex(link)
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        sender.bind((ROUTER, 0, 0, index))
        sender.sendto(head + option, (ALL_NODES, 0, 0, index))


def learnt(link: str) -> list[str]:
    """Return what the host has from a router on `link`: routes and addresses."""
    routes = ip("-6", "route", "show", "dev", link, "proto", "ra")
    (shown,) = ip("-6", "addr", "show", "dev", link)
    given = [a["local"] for a in shown["addr_info"] if a.get("dynamic")]
    return [route["dst"] for route in routes] + given
