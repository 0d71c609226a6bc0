# SPDX-License-Identifier: Apache-2.0
"""Datagrams of a link that has no address yet (packet(7)), of one port of UDP."""

from __future__ import annotations

import ctypes
import socket
import struct

from cni_common.kernel import links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import refused
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.netns import Namespace

_IPV4 = 0x0800  # ETH_P_IP
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
BROADCAST = bytes.fromhex("ffffffffffff")
_LENGTH_MAX = 65535
_WITHOUT_WAITING = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK


@dataclass(frozen=True)
class Wire:
    """A socket on the link `name` with `mac`, as it was when that was opened."""

    name: str
    mac: bytes
    socket: socket.socket

    def send(self, datagram: bytes, mac: bytes = BROADCAST) -> None:
        """Send a datagram of IPv4 to `mac`; raises OSError."""
        self.socket.sendto(datagram, (self.name, _IPV4, 0, 0, mac))

    def received(self) -> tuple[bytes, bytes] | None:
        """Return a datagram and who sent it, or None if none waits; raises OSError."""
        try:
            content, sender = self.socket.recvfrom(_LENGTH_MAX)
        except BlockingIOError:
            return None
        return content, bytes(sender[4])

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()


def opened(namespace: Namespace, link: str, port: int) -> Wire:
    """Return a socket, which does not wait, on a link of `namespace`, which is up then.

    The socket gets what comes in to the UDP port of any address, and
    nothing from before the filter was there. Raises Code.INTERNAL.
    """
    with netns.entered(namespace), Netlink() as netlink:
        found = links.existing(netlink, link)
        if not found.is_up:
            links.set_up(netlink, link)
        made = None
        try:
            # Of no protocol until the filter is there: it hears nothing so long.
            made = socket.socket(socket.AF_PACKET, _WITHOUT_WAITING, 0)
            _filter(made, port)
            made.bind((link, _IPV4))
        except OSError as error:
            if made is not None:
                made.close()
            raise refused(f"open packet socket on {link}", error) from error
    return Wire(link, bytes.fromhex(found.mac.replace(":", "")), made)


def _filter(made: socket.socket, port: int) -> None:
    """Have the socket get unfragmented datagrams to the UDP port alone."""
    steps = (
        (0x30, 0, 0, 9),  # the protocol
        (0x15, 0, 6, 17),  # is UDP
        (0x28, 0, 0, 6),  # flags and offset
        (0x45, 4, 0, 0x3FFF),  # are not of a fragment
        (0xB1, 0, 0, 0),  # the length of the head
        (0x48, 0, 0, 2),  # the port behind it
        (0x15, 0, 1, port),
        (0x06, 0, 0, _LENGTH_MAX),
        (0x06, 0, 0, 0),
    )
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(program)
    told = struct.pack("HL", len(steps), ctypes.addressof(held))
    made.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, told)
