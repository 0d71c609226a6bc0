# SPDX-License-Identifier: Apache-2.0
"""One question to a name server, and its answer (RFC 1035, section 4)."""

from __future__ import annotations

import ipaddress
import os
import struct
from _socket import SOCK_CLOEXEC, SOCK_DGRAM, SOCK_STREAM

from cni_common.kernel.sockets import FAMILY, Socket

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
        answer = _exchanged(server, message, seconds, SOCK_DGRAM)
        if answer is not None and _HEADER.unpack_from(answer)[1] & _TRUNCATED:
            answer = _exchanged(server, message, seconds, SOCK_STREAM)
        return None if answer is None else _addresses(answer, TYPES[family])
    except (OSError, struct.error, IndexError):
        return None


def _question(number: int, name: str, kind: int) -> bytes:
    labels = [label.encode() for label in name.split(".")]
    written = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    header = _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + written + struct.pack(">HH", kind, _IN)


def _exchanged(
    server: IPAddress, message: bytes, seconds: float, kind: int
) -> bytes | None:
    """Return what comes back for `message`, if it is an answer to it."""
    with Socket(FAMILY[server.version], kind | SOCK_CLOEXEC) as asking:
        asking.settimeout(seconds)
        asking.connect((str(server), PORT))
        if kind == SOCK_DGRAM:
            asking.send(message)
            answer = asking.recv(_LARGEST)
        else:
            asking.sendall(struct.pack(">H", len(message)) + message)
            (length,) = struct.unpack(">H", _received(asking, 2))
            answer = _received(asking, length)
    number, flags, *_ = _HEADER.unpack_from(answer)
    is_answer = number == _HEADER.unpack_from(message)[0] and flags & _RESPONSE
    return answer if is_answer else None


def _received(tcp: Socket, length: int) -> bytes:
    """Return `length` bytes, fewer if the connection ends before."""
    found = b""
    while len(found) < length and (more := tcp.recv(length - len(found))):
        found += more
    return found


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
