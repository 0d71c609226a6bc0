# SPDX-License-Identifier: Apache-2.0
"""Netlink messages of another process that the kernel refuses, with a chosen error.

A message becomes one that the kernel does not carry out before it is sent, and the
error in its answer the chosen one before that is received.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from dataclasses import dataclass
from errno import (
    EBUSY,
    EEXIST,
    EINVAL,
    ENETUNREACH,
    ENOBUFS,
    ENODEV,
    ENOENT,
    ENOMEM,
    EOPNOTSUPP,
    EPERM,
)
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ROUTE, _NETFILTER = 0, 12
_HEADER = struct.Struct("=LHHLL")
_NOOP, _ERROR, _BATCH_BEGIN, _BATCH_END = 1, 2, 16, 17
_REQUEST, _ACK = 1, 4
_PIDFD_GETFD = 438
_MESSAGE = struct.Struct("=QI4xQQQQI")  # struct msghdr of 64 bits
_ADDRESS = struct.pack("=HHII", socket.AF_NETLINK, 0, 0, 0)
_BUFFER = 1 << 18

_KINDS = {4: "LINK", 5: "ADDR", 6: "ROUTE", 7: "NEIGH", 8: "RULE", 9: "QDISC"} | {
    10: "TCLASS",
    11: "TFILTER",
    12: "ACTION",
    22: "NSID",
}
_VERBS = ("NEW", "DEL", "GET", "SET")
_ERRORS: dict[str, tuple[int, ...]] = {
    "NEWLINK": (ENOMEM, EBUSY, EOPNOTSUPP, EEXIST, EINVAL),
    "SETLINK": (ENOMEM, EBUSY, EOPNOTSUPP, EINVAL),
    "DELLINK": (EBUSY, EOPNOTSUPP),
    "NEWADDR": (ENOBUFS, EPERM, EINVAL),
    "NEWROUTE": (ENETUNREACH, ENOMEM, EINVAL),
    "NEWQDISC": (ENOENT, ENOMEM, EOPNOTSUPP),
    "NEWTFILTER": (ENOENT, ENOMEM, EINVAL),
    "NEWNEIGH": (ENOBUFS, ENODEV),
}
_OTHERWISE = (EPERM, ENOMEM)

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Message:
    """A message that is about to be sent: where its header is, and what it asks for."""

    refusals: Refusals
    socket: int
    address: int
    sequence: int
    name: str
    changes: bool
    errors: tuple[int, ...]

    def refuse(self, number: int) -> None:
        """Have the kernel not carry it out, and answer with the error `number`."""
        head = struct.pack("=HH", _NOOP, _REQUEST | _ACK)
        os.pwrite(self.refusals.memory, head, self.address + 4)
        pending = self.refusals.pending.setdefault(self.socket, {})
        pending[self.sequence] = number


class Refusals:
    """What is refused of the messages of a process."""

    def __init__(self, memory: int, pidfd: int) -> None:
        self.memory, self.pidfd = memory, pidfd
        self.pending: dict[int, dict[int, int]] = {}

    def knows(self, number: int) -> bool:
        """Tell whether the descriptor is a netlink socket."""
        return self._protocol(number) is not None

    def sent(self, name: str, arguments: Sequence[int]) -> list[Message] | None:
        """Return what is about to be sent, or None if that is not netlink.

        What is a transaction of nftables counts as one message.
        """
        protocol = self._protocol(arguments[0])
        if protocol is None:
            return None
        messages: list[Message] = []
        is_batch = False
        for start, data in self._pieces(name, arguments):
            for offset, kind, sequence in _headers(data):
                if protocol == _NETFILTER and kind in {_BATCH_BEGIN, _BATCH_END}:
                    is_batch = True
                    continue
                meaning = _meaning(protocol, kind, is_batch=is_batch)
                place = (self._inode(arguments[0]), start + offset, sequence)
                messages.append(Message(self, *place, *meaning))
        return messages[-1:] if is_batch else messages

    def _pieces(
        self, name: str, arguments: Sequence[int]
    ) -> Iterator[tuple[int, bytes]]:
        """Yield what is sent, and where it is."""
        if name == "sendto":
            pieces = [(arguments[1], arguments[2])]
        else:
            _, _, pieces_at, count, *_ = self._header(arguments[1])
            room = os.pread(self.memory, 16 * count, pieces_at)
            pieces = list(struct.iter_unpack("=QQ", room))
        for start, size in pieces:
            yield start, os.pread(self.memory, size, start)

    def received(self, name: str, arguments: Sequence[int]) -> int | None:
        """Receive for the process if an answer is to be another; return its size."""
        # A descriptor may be a duplicate of the one by which the message was sent.
        pending = self.pending.get(self._inode(arguments[0])) if self.pending else None
        if not pending:
            return None
        with self._socket(arguments[0]) as own:
            try:
                data = bytearray(own.recv(_BUFFER, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return None
        for offset, kind, sequence in _headers(data):
            if kind == _ERROR and sequence in pending:
                error = -pending.pop(sequence)
                struct.pack_into("=i", data, offset + _HEADER.size, error)
        if name == "recvfrom":
            return self._hand_over(data, arguments)
        return self._hand_over_message(data, arguments[1])

    def _hand_over(self, data: bytes, arguments: Sequence[int]) -> int:
        size = min(len(data), arguments[2])
        os.pwrite(self.memory, data[:size], arguments[1])
        if arguments[4]:
            os.pwrite(self.memory, _ADDRESS, arguments[4])
            os.pwrite(self.memory, struct.pack("=I", len(_ADDRESS)), arguments[5])
        return size

    def _hand_over_message(self, data: bytes, at: int) -> int:
        name, _, pieces_at, count, control, _, _ = self._header(at)
        room, size = struct.unpack("=QQ", os.pread(self.memory, 16, pieces_at))
        size = min(len(data), size)
        os.pwrite(self.memory, data[:size], room)
        if name:
            os.pwrite(self.memory, _ADDRESS, name)
        length = len(_ADDRESS) if name else 0
        header = _MESSAGE.pack(name, length, pieces_at, count, control, 0, 0)
        os.pwrite(self.memory, header, at)
        return size

    def _header(self, at: int) -> tuple[int, ...]:
        return _MESSAGE.unpack(os.pread(self.memory, _MESSAGE.size, at))

    def _protocol(self, number: int) -> int | None:
        try:
            with self._socket(number) as own:
                return own.proto if own.family == socket.AF_NETLINK else None
        except OSError:
            return None

    def _inode(self, number: int) -> int:
        with self._socket(number) as own:
            return os.fstat(own.fileno()).st_ino

    def _socket(self, number: int) -> socket.socket:
        fd = _libc.syscall(_PIDFD_GETFD, self.pidfd, number & 0xFFFFFFFF, 0)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        try:
            return socket.socket(fileno=fd)
        except OSError:
            os.close(fd)
            raise


def _headers(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield where each message of `data` begins, its type and sequence number."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        yield offset, kind, sequence
        offset += (max(length, _HEADER.size) + 3) & ~3


def _meaning(
    protocol: int, kind: int, *, is_batch: bool
) -> tuple[str, bool, tuple[int, ...]]:
    """Return what a message is called, whether it changes anything, and its errors."""
    if protocol == _ROUTE and kind >= 16:
        name = _VERBS[kind & 3] + _KINDS.get(kind >> 2, f"_{kind}")
        return name, kind & 3 != 2, _ERRORS.get(name, _OTHERWISE)
    if is_batch:
        return "nft transaction", True, (ENOMEM, EPERM, EBUSY, EOPNOTSUPP)
    subsystem, number = kind >> 8, kind & 0xFF
    changes = subsystem == 1 and number in {0, 2}
    return f"netfilter {subsystem}:{number}", changes, _OTHERWISE
