# SPDX-License-Identifier: Apache-2.0
"""Messages to netfilter (linux/netfilter/nfnetlink.h), where libnftables is too much.

By hand instead of with pyroute2, whose import costs more.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
NESTED = 0x8000
_NETLINK_NETFILTER = 12
_ERROR, _DONE = 2, 3
_DUMP_INTERRUPTED = 0x10
_HEADER = struct.Struct("=LHHLL")
GENERIC = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_BUFFER = 1 << 18


def opened() -> socket.socket:
    """Return a socket to the netfilter of the calling thread's namespace."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    return socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER)


def message(kind: int, flags: int, family: int, attributes: bytes) -> bytes:
    """Return a message of the subsystem and type `kind` for a protocol family."""
    body = GENERIC.pack(family, 0, 0) + attributes
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute, padded to four bytes."""
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + b"\0" * (-size % 4)


def answers(link: socket.socket) -> Iterator[bytes]:
    """Yield the bodies of the answers up to the end or the acknowledgement.

    Raises OSError as the kernel refuses, and InterruptedError at the end of a list
    whose objects changed meanwhile.
    """
    interrupted = 0
    while True:
        data = link.recv(_BUFFER)
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, flags, *_ = _HEADER.unpack_from(data, offset)
            body = data[offset + _HEADER.size : offset + length]
            interrupted |= flags & _DUMP_INTERRUPTED
            if kind in {_ERROR, _DONE}:
                _raise_refusal(body)
                if interrupted:
                    raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
                return
            yield body
            offset += (length + 3) & ~3


def _raise_refusal(body: bytes) -> None:
    (number,) = struct.unpack_from("=i", body) if len(body) >= 4 else (0,)  # noqa: PLR2004 - the size of the error number
    if number < 0:
        raise OSError(-number, os.strerror(-number))
