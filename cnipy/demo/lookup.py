# SPDX-License-Identifier: Apache-2.0
"""A question to a name server and its answer (RFC 1035, RFC 3596)."""

from __future__ import annotations

import ipaddress
import socket
import struct

from cni_common.kernel import netns
from cnipy.demo.traffic import LONGEST, TIMEOUT

PORT = 53
A, AAAA, IN = 1, 28, 1
RECURSION_DESIRED = 0x0100
IDENTITY = 1
POINTER = 0xC0
_HEADER = struct.Struct(">6H")  # identity, flags, four counts
_QUESTION = struct.Struct(">HH")  # type, class
_RECORD = struct.Struct(">HHIH")  # type, class, seconds, length
_LENGTH = {4: 4, 6: 16}  # bytes of an address


def look_up(namespace: str, server: str, name: str, version: int) -> list[str]:
    """Return the addresses of IP version `version` that `server` knows for `name`.

    The question leaves from the network namespace at a path. Raises OSError when no
    answer comes, or none that can be understood.
    """
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    kind = {4: A, 6: AAAA}[version]
    labels = b"".join(bytes([len(p)]) + p.encode() for p in name.split("."))
    header = _HEADER.pack(IDENTITY, RECURSION_DESIRED, 1, 0, 0, 0)
    with netns.entered_path(namespace):
        asking = socket.socket(family, socket.SOCK_DGRAM)
    with asking:
        asking.settimeout(TIMEOUT)
        asking.connect((server, PORT))
        asking.sendall(header + labels + b"\0" + _QUESTION.pack(kind, IN))
        answer = asking.recv(LONGEST)
    try:
        return _addresses(answer, kind, _LENGTH[version])
    except (struct.error, IndexError, ValueError) as error:
        msg = f"read the answer of {server}: {error}"
        raise OSError(msg) from error


def _addresses(answer: bytes, kind: int, length: int) -> list[str]:
    _, _, _, count, _, _ = _HEADER.unpack_from(answer)
    offset = _behind_name(answer, _HEADER.size) + _QUESTION.size
    found = []
    for _ in range(count):
        offset = _behind_name(answer, offset)
        found_kind, _, _, size = _RECORD.unpack_from(answer, offset)
        offset += _RECORD.size
        content = answer[offset : offset + size]
        offset += size
        if found_kind == kind and size == length:
            found.append(str(ipaddress.ip_address(content)))
    return found


def _behind_name(answer: bytes, offset: int) -> int:
    """Return where the name at `offset` ends: with an empty label, or a pointer."""
    while answer[offset]:
        if answer[offset] >= POINTER:
            return offset + 2
        offset += answer[offset] + 1
    return offset + 1
