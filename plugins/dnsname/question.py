# SPDX-License-Identifier: Apache-2.0
"""One question to a name server, and its answer (RFC 1035, section 4)."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress

PORT = 53
TYPES = {4: 1, 6: 28}  # A, AAAA
_IN = 1
_HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHLH")
_RECURSION_DESIRED, _RESPONSE, _TRUNCATED = 0x0100, 0x8000, 0x0200
_POINTER = 0xC0
_LARGEST = 65535


def ask(
    server: IPAddress, name: str, family: int, seconds: float
) -> set[IPAddress] | None:
    """Return the addresses of `family` that `server` gives for `name`.

    None: no answer within `seconds`. What does not fit into a datagram is asked for
    again by TCP.
    """
    number = int.from_bytes(os.urandom(2))
    message = _question(number, name, TYPES[family])
    try:
        answer = _by_udp(server, message, seconds)
        if answer is not None and _flags(answer) & _TRUNCATED:
            answer = _by_tcp(server, message, seconds)
        return None if answer is None else _addresses(answer, TYPES[family])
    except (OSError, struct.error, IndexError):
        return None


def _question(number: int, name: str, kind: int) -> bytes:
    labels = [label.encode() for label in name.split(".")]
    written = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    header = _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + written + struct.pack(">HH", kind, _IN)


def _family(server: IPAddress) -> socket.AddressFamily:
    return socket.AF_INET if server.version == 4 else socket.AF_INET6  # noqa: PLR2004 - the family's number


def _by_udp(server: IPAddress, message: bytes, seconds: float) -> bytes | None:
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    with socket.socket(_family(server), kind) as udp:
        udp.settimeout(seconds)
        udp.connect((str(server), PORT))
        udp.send(message)
        answer = udp.recv(_LARGEST)
    return answer if _answers(answer, message) else None


def _by_tcp(server: IPAddress, message: bytes, seconds: float) -> bytes | None:
    kind = socket.SOCK_STREAM | socket.SOCK_CLOEXEC
    with socket.socket(_family(server), kind) as tcp:
        tcp.settimeout(seconds)
        tcp.connect((str(server), PORT))
        tcp.sendall(struct.pack(">H", len(message)) + message)
        with tcp.makefile("rb") as stream:
            (length,) = struct.unpack(">H", stream.read(2))
            answer = stream.read(length)
    return answer if _answers(answer, message) else None


def _answers(answer: bytes, message: bytes) -> bool:
    return answer[:2] == message[:2] and bool(_flags(answer) & _RESPONSE)


def _flags(answer: bytes) -> int:
    return int(_HEADER.unpack_from(answer)[1])


def _addresses(answer: bytes, wanted: int) -> set[IPAddress]:
    _, _, questions, records, _, _ = _HEADER.unpack_from(answer)
    offset = _HEADER.size
    for _ in range(questions):
        offset = _after_name(answer, offset) + 4
    found: set[IPAddress] = set()
    for _ in range(records):
        offset = _after_name(answer, offset)
        kind, _, _, length = _RECORD.unpack_from(answer, offset)
        offset += _RECORD.size
        if kind == wanted:
            found.add(ipaddress.ip_address(answer[offset : offset + length]))
        offset += length
    return found


def _after_name(answer: bytes, offset: int) -> int:
    while (length := answer[offset]) != 0:
        if length >= _POINTER:
            return offset + 2
        offset += 1 + length
    return offset + 1
