# SPDX-License-Identifier: Apache-2.0
"""Forwarding entries of a VXLAN device: behind which host a MAC is (bridge(8), fdb)."""

from __future__ import annotations

import ipaddress
import struct

from cni_common.kernel.attributes import Attributes, attribute
from cni_common.kernel.netlink import CREATE, REPLACE, Netlink, NetlinkError
from cni_common.kernel.requests import NETLINK_HEADER, Request
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.route_answer import IPAddress

_RTM_NEWNEIGH, _RTM_DELNEIGH, _RTM_GETNEIGH = 28, 29, 30
_NDMSG = struct.Struct("=BxxxiHBB")
_AF_BRIDGE = 7
_DST, _LLADDR = 1, 2  # NDA_*
_SELF, _PERMANENT = 0x02, 0x80  # NTF_SELF, NUD_PERMANENT


def replacement(
    link: int, mac: str, destination: IPAddress
) -> tuple[Request, int, int]:
    """Return the request after which `mac` is behind `destination`, and it alone."""
    body = _head(link, mac) + attribute(_DST, destination.packed)
    return Request(body), _RTM_NEWNEIGH, CREATE | REPLACE


def deletion(link: int, mac: str) -> tuple[Request, int, int]:
    """Return the request that deletes the entry of `mac`."""
    return Request(_head(link, mac)), _RTM_DELNEIGH, 0


def listed(netlink: Netlink, link: int) -> dict[str, IPAddress]:
    """Return behind which host each MAC is. Raises Code.INTERNAL."""
    question = Request(_NDMSG.pack(_AF_BRIDGE, link, 0, 0, 0))
    try:
        answers = netlink.dump(question, _RTM_GETNEIGH, _Answer)
    except NetlinkError as error:
        raise refused(f"list forwarding entries of link {link}", error) from error
    return {a.mac: a.destination for a in answers if a.link == link and a.destination}


def _head(link: int, mac: str) -> bytes:
    head = _NDMSG.pack(_AF_BRIDGE, link, _PERMANENT, _SELF, 0)
    return head + attribute(_LLADDR, bytes.fromhex(mac.replace(":", "")))


class _Answer:
    """A message about an entry; one that leads to no host has no `destination`."""

    link: int
    mac: str
    destination: IPAddress | None

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read link, MAC and destination."""
        _, self.link, *_ = _NDMSG.unpack_from(self._message, NETLINK_HEADER.size)
        told = Attributes(self._message, NETLINK_HEADER.size + _NDMSG.size)
        self.mac = told.raw(_LLADDR).hex(":")
        address = told.raw(_DST)
        self.destination = ipaddress.ip_address(address) if address else None
