# SPDX-License-Identifier: Apache-2.0
"""Where a packet is seen: on which links of a namespace, which way (packet(7))."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from typing import TYPE_CHECKING

from cni_common.kernel import sockets
from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.spec.fields import IPAddress

_BUFFER = 1 << 24  # a bridge that does not know a MAC sends to all its ports
_ALL = 3  # ETH_P_ALL
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_WITHOUT_WAITING = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_OTHERHOST, _OUTGOING = 3, 4  # PACKET_*
_LENGTH_MAX = 65535
_IPV4 = 4
_V6_HEADER = 40
_PORTS = struct.Struct("!HH")
ICMP, TCP, ICMPV6 = 1, 6, 58
_FLAGS, _RST = 13, 0x04  # of a segment
_SHORTEST = 8  # a datagram, or an echo


class Sighting(NamedTuple):
    """A packet that a link had: on its way `out`, or in, perhaps for `others`.

    is_error: it is of ICMP, and about another packet; is_reset: it ends a connection.

    `others` tells that the frame's destination is not the link's own MAC.
    """

    link: str
    out: bool
    others: bool
    source: IPAddress
    destination: IPAddress
    sport: int
    dport: int
    is_error: bool = False
    is_reset: bool = False


def opened(protocol: int, number: int) -> socket.socket:
    """Return a socket that sees what the links of the namespace have of a flow.

    That is IP packets of the protocol with the port `number` at either end, or with
    that identifier of an echo, and ICMP errors. Raises OSError.
    """
    made = socket.socket(socket.AF_PACKET, _WITHOUT_WAITING, socket.htons(_ALL))
    try:
        sockets.make_room(made, _BUFFER)
        _filter(made, protocol, number)
        while True:  # what has come before the filter was there
            made.recv(1)
    except BlockingIOError:
        return made
    except OSError:
        made.close()
        raise


def seen(watching: socket.socket) -> Iterator[Sighting]:
    """Yield what has been seen by now, in order. Raises OSError."""
    while True:
        try:
            content, sender = watching.recvfrom(_LENGTH_MAX)
        except BlockingIOError:
            return
        link, _, kind, *_ = sender
        found = _read(content)
        if found is not None:
            yield Sighting(link, kind == _OUTGOING, kind == _OTHERHOST, *found)


def _read(
    content: bytes,
) -> tuple[IPAddress, IPAddress, int, int, bool, bool] | None:
    if content[0] >> 4 == _IPV4:
        size = (content[0] & 15) * 4
        pair, protocol = (content[12:16], content[16:20]), content[9]
    else:
        size, pair, protocol = _V6_HEADER, (content[8:24], content[24:40]), content[6]
    if len(content) < size + (_FLAGS + 1 if protocol == TCP else _SHORTEST):
        return None
    source, destination = map(ipaddress.ip_address, pair)
    if protocol in {ICMP, ICMPV6}:
        kind = content[size]
        is_echo = kind in ({8, 0} if protocol == ICMP else {128, 129})
        (number,) = struct.unpack_from("!H", content, size + 4)
        is_request = kind in {8, 128}
        ports = (number, 0) if is_request else (0, number)
        return source, destination, *ports, not is_echo, False
    is_reset = protocol == TCP and bool(content[size + _FLAGS] & _RST)
    return source, destination, *_PORTS.unpack_from(content, size), False, is_reset


def _filter(made: socket.socket, protocol: int, number: int) -> None:
    """Have the socket get the flow alone, of either version of IP.

    The ports, or for an echo the identifier, lie behind the header; a jump counts the
    instructions that it leaves out.
    """
    is_icmp = protocol in {ICMP, ICMPV6}
    first, second = (4, 4) if is_icmp else (0, 2)
    version, accept, refuse = (0x30, 0, 0, 0), 22, 23
    steps: list[tuple[int, int, int, int]] = [
        version,  # 0
        (0x54, 0, 0, 0xF0),  # 1
        (0x15, 1, 0, 0x60),  # 2: IPv6 at 4
        (0x15, 8, refuse - 4, 0x40),  # 3: IPv4 at 12
        (0x30, 0, 0, 6),  # 4: next header
        (0x15, 1, 0, protocol),  # 5: ours at 7
        (0x15, accept - 7, refuse - 7, ICMPV6),  # 6: an error, or nothing
        (0x28, 0, 0, _V6_HEADER + first),  # 7
        (0x15, accept - 9, 0, number),  # 8
        (0x28, 0, 0, _V6_HEADER + second),  # 9
        (0x15, accept - 11, 0, number),  # 10
        (0x06, 0, 0, 0),  # 11
        (0x30, 0, 0, 9),  # 12: protocol
        (0x15, 1, 0, protocol),  # 13: ours at 15
        (0x15, accept - 15, refuse - 15, ICMP),  # 14
        (0xB1, 0, 0, 0),  # 15: the length of the header
        (0x48, 0, 0, first),  # 16
        (0x15, accept - 18, 0, number),  # 17
        (0x48, 0, 0, second),  # 18
        (0x15, accept - 20, 0, number),  # 19
        (0x06, 0, 0, 0),  # 20
        (0x06, 0, 0, 0),  # 21
        (0x06, 0, 0, _LENGTH_MAX),  # 22
        (0x06, 0, 0, 0),  # 23
    ]
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(program)
    told = struct.pack("HL", len(steps), ctypes.addressof(held))
    made.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, told)
