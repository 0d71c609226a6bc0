# SPDX-License-Identifier: Apache-2.0
"""Netlink by hand (netlink(7)), where pyroute2 and libnftables are too much.

Their import costs more than the work of those who ask here.
"""

from __future__ import annotations

import errno
import os
import struct

from cni_common.kernel import sockets

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
NESTED = 0x8000
_NETLINK_NETFILTER = 12
_ERROR, _DONE = 2, 3
_DUMP_INTERRUPTED = 0x10
_HEADER = struct.Struct("=LHHLL")
GENERIC = struct.Struct("=BBH")  # struct nfgenmsg
_BUFFER = 1 << 18


def to_netfilter() -> sockets.Socket:
    """Return a socket to the netfilter of the calling thread's namespace."""
    return sockets.netlink(_NETLINK_NETFILTER)


def netfilter_message(kind: int, flags: int, family: int, attributes: bytes) -> bytes:
    """Return a message of the subsystem and type `kind` for a protocol family."""
    return _message(kind, flags, GENERIC.pack(family, 0, 0) + attributes)


def request(kind: int, body: bytes) -> bytes:
    """Return a message that asks for one thing."""
    return _message(kind, REQUEST, body)


def dump(protocol: int, kind: int, body: bytes) -> Iterator[bytes]:
    """Yield what the calling thread's namespace lists, as `answers` does."""
    with sockets.netlink(protocol) as link:
        link.send(_message(kind, REQUEST | DUMP, body))
        yield from answers(link)


def answers(link: sockets.Socket) -> Iterator[bytes]:
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


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of each message in a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        yield kind, data[offset + _HEADER.size : offset + length]
        offset += max((length + 3) & ~3, _HEADER.size)


def _raise_refusal(body: bytes) -> None:
    (number,) = struct.unpack_from("=i", body) if len(body) >= 4 else (0,)  # noqa: PLR2004 - the size of the error number
    if number < 0:
        raise OSError(-number, os.strerror(-number))


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body
