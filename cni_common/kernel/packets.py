# SPDX-License-Identifier: Apache-2.0
"""Packets of a link that has no address yet (packet(7)): one port of UDP, or ARP."""

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

    Steps = tuple[tuple[int, int, int, int], ...]  # of a classic filter (BPF)

_IPV4, _ARP = 0x0800, 0x0806  # ETH_P_IP, ETH_P_ARP
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
BROADCAST = bytes.fromhex("ffffffffffff")
_LENGTH_MAX = 65535
_EVERYTHING = ((0x06, 0, 0, _LENGTH_MAX),)
_WITHOUT_WAITING = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK


@dataclass(frozen=True)
class Wire:
    """A socket for a `protocol` on the link `name`, of a `kind` as iproute2 has it and
    with `mac`, as it was when that was opened.
    """

    name: str
    mac: bytes
    kind: str
    protocol: int
    socket: socket.socket

    def send(self, packet: bytes, mac: bytes = BROADCAST) -> None:
        """Send a packet to `mac`; raises OSError."""
        self.socket.sendto(packet, (self.name, self.protocol, 0, 0, mac))

    def received(self) -> tuple[bytes, bytes] | None:
        """Return a packet and who sent it, or None if none waits; raises OSError."""
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

    The socket gets datagrams of IPv4 that come in to the UDP port of any address, and
    nothing from before the filter was there. Raises Code.INTERNAL.
    """
    return _opened(namespace, link, _IPV4, _unfragmented_to(port))


def opened_for_arp(namespace: Namespace, link: str) -> Wire:
    """Return a socket as `opened` does, which gets what comes in of ARP."""
    return _opened(namespace, link, _ARP, _EVERYTHING)


def _opened(namespace: Namespace, link: str, protocol: int, steps: Steps) -> Wire:
    with netns.entered(namespace), Netlink() as netlink:
        found = links.existing(netlink, link)
        if not found.is_up:
            links.set_up(netlink, link)
        made = None
        try:
            # Of no protocol until the filter is there: it hears nothing so long.
            made = socket.socket(socket.AF_PACKET, _WITHOUT_WAITING, 0)
            _filter(made, steps)
            made.bind((link, protocol))
        except OSError as error:
            if made is not None:
                made.close()
            raise refused(f"open packet socket on {link}", error) from error
    mac = bytes.fromhex(found.mac.replace(":", ""))
    return Wire(link, mac, found.kind, protocol, made)


def _unfragmented_to(port: int) -> Steps:
    """Return a filter that has unfragmented datagrams to the UDP port alone."""
    return (
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


def _filter(made: socket.socket, steps: Steps) -> None:
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(program)
    told = struct.pack("HL", len(steps), ctypes.addressof(held))
    made.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, told)
