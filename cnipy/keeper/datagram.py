# SPDX-License-Identifier: Apache-2.0
"""IPv4 and UDP by hand, for a link that has no address yet (RFC 791, RFC 768)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

SERVER, CLIENT = 67, 68  # ports
_UDP = 17
_HEAD = struct.Struct(">BBHHHBBH4s4s")
_PORTS = struct.Struct(">HHHH")
NOWHERE, EVERYBODY = IPv4Address(0), IPv4Address(0xFFFFFFFF)


def packed(payload: bytes, source: IPv4Address, destination: IPv4Address) -> bytes:
    """Return a datagram from the client's port to the server's."""
    length = _PORTS.size + len(payload)
    ends = source.packed + destination.packed
    ports = _PORTS.pack(CLIENT, SERVER, length, 0)
    summed = _sum(ends + struct.pack(">HH", _UDP, length) + ports + payload)
    ports = _PORTS.pack(CLIENT, SERVER, length, summed or 0xFFFF)
    head = _HEAD.pack(
        0x45, 0, _HEAD.size + length, 0, 0, 64, _UDP, 0, ends[:4], ends[4:]
    )
    return head[:10] + struct.pack(">H", _sum(head)) + head[12:] + ports + payload


def unpacked(datagram: bytes) -> bytes:
    """Return what a datagram for the client carries; raises ValueError.

    The sum over it is not looked at: a virtual link leaves it to hardware that the
    datagram never meets.
    """
    length = (datagram[0] & 0xF) * 4 if datagram else 0
    if length < _HEAD.size or datagram[0] >> 4 != 4:  # noqa: PLR2004 - IPv4
        raise ValueError("no datagram of IPv4")
    carried = datagram[length : int.from_bytes(datagram[2:4], "big")]
    if len(carried) < _PORTS.size:
        raise ValueError("a datagram that is cut short")
    source, destination, size, _ = _PORTS.unpack_from(carried)
    if datagram[9] != _UDP or (source, destination) != (SERVER, CLIENT):
        raise ValueError("a datagram that is not from a server")
    if not _PORTS.size <= size <= len(carried):
        raise ValueError("a datagram that is cut short")
    return carried[_PORTS.size : size]


def _sum(content: bytes) -> int:
    if len(content) % 2:
        content += b"\0"
    total: int = sum(struct.unpack(f">{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
