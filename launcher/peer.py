# SPDX-License-Identifier: Apache-2.0
"""Who calls the warm server: what decides over what a process may do, and where.

A child acts for its caller. Where the caller may do less than the server, or sees
other things under the same names, only a process of the caller's own does it right.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from functools import cache

from cni_common.spec.values import NamedTuple

_STATUS = tuple(
    f"{name}:".encode()
    for name in (
        *("Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
        *("NoNewPrivs", "Seccomp"),
    )
)
_CREDENTIALS = struct.Struct("3i")
_SO_PEERPIDFD = getattr(socket, "SO_PEERPIDFD", 77)


class Standing(NamedTuple):
    """What two processes must have in common for one to act for the other."""

    privileges: tuple[bytes, ...]
    label: bytes
    root: tuple[str, int, int]
    namespaces: tuple[str, ...]


class RefusedError(Exception):
    """The caller must start cold: it is somebody else, or somewhere else."""


def namespaces(process: str) -> tuple[str, ...]:
    """Return what tells the namespaces of a process apart; raises OSError."""
    return tuple(os.readlink(f"/proc/{process}/ns/{kind}") for kind in _kinds())


def standing(process: str) -> Standing:
    """Return user, privileges, label, root and namespaces of a process.

    Raises OSError. Groups are left out: they give root nothing that its capabilities
    do not, and a login shell has others than a service.
    """
    where = f"/proc/{process}"
    with open(f"{where}/status", "rb", buffering=0) as file:
        lines = file.read(1 << 14).splitlines()
    root = os.stat(f"{where}/root")
    return Standing(
        tuple(line for line in lines if line.startswith(_STATUS)),
        _label(where),
        (os.readlink(f"{where}/root"), root.st_dev, root.st_ino),
        namespaces(process),
    )


def check(connection: socket.socket, own: Standing) -> None:
    """Raise RefusedError or OSError unless the caller stands where `own` does."""
    size = _CREDENTIALS.size
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    if uid != os.geteuid() or pid == 0:
        raise RefusedError
    if standing(str(pid)) != own or _is_filtered(own) or _has_ended(connection):
        raise RefusedError


def _is_filtered(found: Standing) -> bool:
    """Tell whether a filter of system calls applies: two cannot be compared."""
    modes = [line for line in found.privileges if line.startswith(b"Seccomp:")]
    return any(mode != b"Seccomp:\t0" for mode in modes)


@cache
def _kinds() -> list[str]:
    return sorted(os.listdir("/proc/self/ns"))


def _label(where: str) -> bytes:
    """Return the label of a security module, empty where there is none."""
    try:
        with open(f"{where}/attr/current", "rb", buffering=0) as file:
            return file.read(1 << 12)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOENT}:
            raise
        return b""


def _has_ended(connection: socket.socket) -> bool:
    """Tell whether what was read may be another process's that has the same ID by now.

    Before Linux 6.5 nothing tells that; an ID comes back only after all the others.
    """
    try:
        pidfd = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        return error.errno != errno.ENOPROTOOPT
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(0))
    finally:
        os.close(pidfd)
