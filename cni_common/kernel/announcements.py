# SPDX-License-Identifier: Apache-2.0
"""All of a network is told who has an address (RFC 5227, 3; RFC 4861, 7.2.6).

For a link whose MAC nobody may set, which is when the kernel says it by itself.
"""

from __future__ import annotations

import struct
from _socket import (
    AF_INET6,
    AF_PACKET,
    IPPROTO_ICMPV6,
    IPPROTO_IPV6,
    IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_IF,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_RAW,
)

from cni_common.kernel.sockets import Socket
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.route_answer import IPAddress

_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET, _IPV4, _ETH_P_ARP, _REQUEST = 1, 0x0800, 0x0806, 1
_BROADCAST = b"\xff" * 6
_ADVERTISEMENT = struct.Struct("!BBHI16sBB6s")
_ADVERTISED, _OVERRIDE, _TARGET_MAC = 136, 0x20000000, 2
_ALL_NODES, _NEVER_ROUTED = "ff02::1", 255


def send(link: Link, address: IPAddress) -> None:
    """Tell the neighbours of `link` that its MAC has `address`, which is usable.

    The calling thread must be in the namespace of the link. Raises Code.INTERNAL.
    """
    mac = bytes.fromhex(link.mac.replace(":", ""))
    try:
        if address.version == 4:  # noqa: PLR2004 - the family's number
            _gratuitous_arp(link, mac, address.packed)
        else:
            _unsolicited_advertisement(link, mac, address)
    except OSError as error:
        raise refused(f"announce {address} of {link.name}", error) from error


def _gratuitous_arp(link: Link, mac: bytes, own: bytes) -> None:
    kinds = (_ETHERNET, _IPV4, len(mac), len(own))
    question = _ARP.pack(*kinds, _REQUEST, mac, own, bytes(6), own)
    with Socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0) as sender:
        sender.sendto(question, (link.name, _ETH_P_ARP, 0, 0, _BROADCAST))


def _unsolicited_advertisement(link: Link, mac: bytes, own: IPAddress) -> None:
    """Send it; the kernel fills in the checksum."""
    kind = (_ADVERTISED, 0, 0, _OVERRIDE)
    told = _ADVERTISEMENT.pack(*kind, own.packed, _TARGET_MAC, 1, mac)
    with Socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6) as sender:
        sender.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, _NEVER_ROUTED)
        sender.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, link.index)
        sender.bind((str(own), 0))
        sender.sendto(told, (_ALL_NODES, 0, 0, link.index))
