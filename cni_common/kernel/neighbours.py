# SPDX-License-Identifier: Apache-2.0
"""Neighbours that a link knows without asking (ip-neighbour(8), rtnetlink(7))."""

from __future__ import annotations

import ipaddress
import struct

from cni_common.kernel.attributes import Attributes, attribute, number
from cni_common.kernel.netlink import CREATE, Netlink, NetlinkError
from cni_common.kernel.requests import NETLINK_HEADER, Request
from cni_common.kernel.sockets import FAMILY
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.route_answer import IPAddress

_RTM_NEWNEIGH, _RTM_DELNEIGH, _RTM_GETNEIGH = 28, 29, 30
_NDMSG = struct.Struct("=BxxxiHBB")
_DST, _LLADDR, _IFINDEX = 1, 2, 8  # NDA_*
_PERMANENT = 0x80  # NUD_PERMANENT
_REPLACE = 0x100  # NLM_F_REPLACE


def ensure(netlink: Netlink, link: Link, address: IPAddress, mac: str) -> None:
    """Ensure that `address` is known on `link` to have `mac`, for good.

    Raises Code.INTERNAL.
    """
    try:
        netlink.act(replacement(link.index, address, mac))
    except NetlinkError as error:
        raise refused(f"add neighbour {address} of {link.name}", error) from error


def replacement(link: int, address: IPAddress, mac: str) -> tuple[Request, int, int]:
    """Return the request after which `address` has `mac` on a link, for good."""
    body = _head(link, address)
    body += attribute(_LLADDR, bytes.fromhex(mac.replace(":", "")))
    return Request(body), _RTM_NEWNEIGH, CREATE | _REPLACE


def deletion(link: int, address: IPAddress) -> tuple[Request, int, int]:
    """Return the request after which nobody is known to have `address` on a link."""
    return Request(_head(link, address)), _RTM_DELNEIGH, 0


def _head(link: int, address: IPAddress) -> bytes:
    head = _NDMSG.pack(FAMILY[address.version], link, _PERMANENT, 0, 0)
    return head + attribute(_DST, address.packed)


def permanent(netlink: Netlink, link: Link) -> dict[IPAddress, str]:
    """Return the MACs of the neighbours that `link` knows for good.

    Raises Code.INTERNAL.
    """
    found = {}
    for family in FAMILY.values():
        head = _NDMSG.pack(family, 0, 0, 0, 0)
        message = Request(head + number(_IFINDEX, link.index))
        try:
            answers = netlink.dump(message, _RTM_GETNEIGH, _Answer)
        except NetlinkError as error:
            raise refused("list neighbours", error) from error
        found.update(
            {a.address: a.mac for a in answers if a.lasts and a.index == link.index}
        )
    return found


class _Answer:
    """A message about a neighbour."""

    index: int
    lasts: bool
    address: IPAddress
    mac: str

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read the address, the MAC, and whether that is known for good."""
        head = _NDMSG.unpack_from(self._message, NETLINK_HEADER.size)
        _, self.index, state, _, _ = head
        told = Attributes(self._message, NETLINK_HEADER.size + _NDMSG.size)
        self.lasts = bool(state & _PERMANENT)
        self.address = ipaddress.ip_address(told.raw(_DST))
        self.mac = told.raw(_LLADDR).hex(":")
