# SPDX-License-Identifier: Apache-2.0
"""Sockets by which the kernel is spoken to.

Without the module `socket`, whose enumerations cost more to import than what is asked.
"""

from __future__ import annotations

import os
from _socket import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    SO_RCVBUF,
    SOCK_CLOEXEC,
    SOCK_RAW,
    SOL_SOCKET,
    socket,
)

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Self

FAMILY = {4: AF_INET, 6: AF_INET6}  # by the version of IP
_SO_RCVBUFFORCE = 33


class Socket(socket):
    """A socket that is closed at the end of a block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def dup(self) -> Socket:
        """Return another descriptor of the same socket. Raises OSError."""
        return Socket(self.family, self.type, self.proto, os.dup(self.fileno()))


def netlink(protocol: int) -> Socket:
    """Return a netlink socket of the calling thread's namespace. Raises OSError."""
    return Socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)


def make_room(opened: socket, size: int) -> None:
    """Have up to `size` bytes wait in a socket, beyond the limit of the node if we may.

    Memory is taken by what waits alone. Raises OSError.
    """
    try:
        opened.setsockopt(SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        opened.setsockopt(SOL_SOCKET, SO_RCVBUF, size)
