# SPDX-License-Identifier: Apache-2.0
"""What a datagram of the kernel says: messages, and refusals in them (netlink(7))."""

from __future__ import annotations

import os
import struct

_HEADER = struct.Struct("=LHHLL")
_CAPPED, _ACK_TLVS = 0x100, 0x200


def messages(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Return type, flags, sequence number and whole text of each message in `data`."""
    found: list[tuple[int, int, int, bytes]] = []
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        found.append((kind, flags, sequence, data[offset : offset + length]))
        offset += (length + 3) & ~3
    return found


def refusal(body: bytes, flags: int) -> tuple[int, str] | None:
    """Return what an acknowledgement refuses, or None for one of success."""
    (number,) = struct.unpack_from("=i", body, _HEADER.size)
    if number == 0:
        return None
    offset = _HEADER.size + 4
    (echoed,) = struct.unpack_from("=L", body, offset)
    offset += _HEADER.size if flags & _CAPPED else (echoed + 3) & ~3
    return _error(-number, body, flags, offset)


def failure_of_dump(body: bytes, flags: int) -> tuple[int, str] | None:
    """Return why a dump ended early: its last message carries an error number too."""
    offset = _HEADER.size + 4
    if len(body) < offset:
        return None
    (number,) = struct.unpack_from("=i", body, _HEADER.size)
    return _error(-number, body, flags, offset) if number < 0 else None


def _error(number: int, body: bytes, flags: int, offset: int) -> tuple[int, str]:
    words = _extended_words(body, offset) if flags & _ACK_TLVS else ""
    return number, words or os.strerror(number).lower()


def _extended_words(body: bytes, offset: int) -> str:
    """Return the message of the extended acknowledgement (NLMSGERR_ATTR_MSG)."""
    while offset + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, offset)
        if kind == 1:
            text = body[offset + 4 : offset + length]
            return text.rstrip(b"\0").decode("utf-8", "replace").rstrip(".")
        if length < 4:  # noqa: PLR2004 - the size of an attribute's own header
            break
        offset += (length + 3) & ~3
    return ""
