# SPDX-License-Identifier: Apache-2.0
"""Packets by hand, which no socket of the host can send (RFC 791, 8200, 9293, 768)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from cnipy.why.flow import ICMP, TCP, Flow

if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress

ECHO = struct.Struct("!BBHHH")
REQUEST = {4: 8, 6: 128}
SYN, RST = 0x02, 0x04
_SEQUENCE = 0x10000000
_V4, _V6 = struct.Struct("!BBHHHBBH4s4s"), struct.Struct("!IHBB16s16s")
_TCP, _UDP = struct.Struct("!HHIIBBHHH"), struct.Struct("!HHHH")
_TTL, _WINDOW = 64, 64240
_IPV4 = 4


def packet(flow: Flow, source: IPAddress, flags: int = SYN) -> bytes:
    """Return the packet of a flow from an address: a segment, a datagram or an echo.

    A segment that resets follows the one that asks.
    """
    goal = flow.goal
    pseudo = source.packed + goal.address.packed
    head = 28 if source.version == _IPV4 else 48
    data = bytes(max(goal.size - head, 0))
    if goal.protocol == ICMP:
        first = ECHO.pack(REQUEST[source.version], 0, 0, flow.number, 1)
        covered = b"" if source.version == _IPV4 else pseudo
        body, at = first + data, 2
    elif goal.protocol == TCP:
        sequence = _SEQUENCE + (1 if flags == RST else 0)
        ports = (flow.number, goal.port)
        body = _TCP.pack(*ports, sequence, 0, 5 << 4, flags, _WINDOW, 0, 0)
        covered, at = pseudo, 16
    else:
        body = _UDP.pack(flow.number, goal.port, _UDP.size + len(data), 0) + data
        covered, at = pseudo, 6
    if covered:
        covered += struct.pack("!II", len(body), flow.protocol_number)
    told = struct.pack("!H", checksum(covered + body))
    body = body[:at] + told + body[at + 2 :]
    return _header(flow, source, len(body)) + body


def _header(flow: Flow, source: IPAddress, length: int) -> bytes:
    protocol, to = flow.protocol_number, flow.goal.address.packed
    if source.version != _IPV4:
        return _V6.pack(6 << 28, length, protocol, _TTL, source.packed, to)
    fields = (0x45, 0, _V4.size + length, 1, 0x4000, _TTL, protocol)
    told = checksum(_V4.pack(*fields, 0, source.packed, to))
    return _V4.pack(*fields, told, source.packed, to)


def checksum(data: bytes) -> int:
    """Return the checksum of RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
