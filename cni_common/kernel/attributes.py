# SPDX-License-Identifier: Apache-2.0
"""Attributes of netlink messages; of an answer only those asked for are decoded.

pyroute2 decodes all of a link's hundred attributes, which takes longer than the kernel
takes to make the link. The format is that of linux/netlink.h, struct nlattr.
"""

from __future__ import annotations

import os
import struct
import sys

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = struct.Struct("=HH")
_NUMBER = struct.Struct("=I")
_KIND = 0x3FFF  # NLA_TYPE_MASK


def attribute(kind: int, *payload: bytes) -> bytes:
    """Return an attribute, or a nest of attributes, padded to four bytes."""
    content = b"".join(payload)
    head = _HEADER.pack(_HEADER.size + len(content), kind)
    return head + content + b"\0" * (-len(content) % 4)


def text(kind: int, content: str) -> bytes:
    """Return an attribute with a text, which ends with NUL."""
    return attribute(kind, os.fsencode(content) + b"\0")


def number(kind: int, content: int) -> bytes:
    """Return an attribute with an unsigned number of four bytes."""
    return attribute(kind, _NUMBER.pack(content))


def pairs(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield kind and bytes of each attribute in `data` from `offset` on."""
    while offset + _HEADER.size <= len(data):
        length, kind = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            break
        yield kind & _KIND, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


class Attributes:
    """The attributes in `data` from `offset` on; of a repeated kind the last one."""

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self._found = dict(pairs(data, offset))

    def raw(self, kind: int) -> bytes:
        """Return the bytes of an attribute; an absent one is empty."""
        return self._found.get(kind, b"")

    def number(self, kind: int) -> int:
        """Return an unsigned number of 1, 2 or 4 bytes; an absent one is 0."""
        return int.from_bytes(self.raw(kind), sys.byteorder)

    def text(self, kind: int) -> str:
        """Return a text that ends with NUL; an absent one is empty."""
        return self.raw(kind).partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def nested(self, kind: int) -> Attributes:
        """Return the attributes within an attribute."""
        return Attributes(self.raw(kind))
