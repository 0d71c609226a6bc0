# SPDX-License-Identifier: Apache-2.0
"""System calls that act on a host, what each is about, and what it may be answered."""

from __future__ import annotations

import os
import platform
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from errno import (
    EACCES,
    EAGAIN,
    ECONNREFUSED,
    EINVAL,
    EIO,
    EMFILE,
    ENETUNREACH,
    ENOBUFS,
    ENOENT,
    ENOLCK,
    ENOMEM,
    ENOSPC,
    EPERM,
    EROFS,
)
from pathlib import Path
from typing import TYPE_CHECKING

import netlink_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Numbers by machine: asm/unistd.h, linux/audit.h.
_X86 = {
    "read": 0, "write": 1, "open": 2, "pread64": 17, "pwrite64": 18, "socket": 41,
    "connect": 42, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
    "bind": 49, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62,
    "flock": 73, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "rename": 82,
    "mkdir": 83, "rmdir": 84, "link": 86, "unlink": 87, "symlink": 88, "chmod": 90,
    "fchmod": 91, "chown": 92, "fchown": 93, "getdents64": 217, "openat": 257,
    "mkdirat": 258, "unlinkat": 263, "renameat": 264, "linkat": 265,
    "symlinkat": 266, "fchmodat": 268, "unshare": 272, "setns": 308,
    "renameat2": 316, "seccomp": 317, "pidfd_send_signal": 424, "pidfd_open": 434,
    "clone3": 435, "pidfd_getfd": 438,
}  # fmt: skip
_ARM = {
    "flock": 32, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37,
    "renameat": 38, "ftruncate": 46, "fchmod": 52, "fchmodat": 53, "fchown": 55,
    "openat": 56, "getdents64": 61, "read": 63, "write": 64, "pread64": 67,
    "pwrite64": 68, "fsync": 82, "fdatasync": 83, "unshare": 97, "kill": 129,
    "socket": 198, "bind": 200, "connect": 203, "sendto": 206, "recvfrom": 207,
    "sendmsg": 211, "recvmsg": 212, "clone": 220, "execve": 221, "setns": 268,
    "renameat2": 276, "seccomp": 277, "pidfd_send_signal": 424, "pidfd_open": 434,
    "clone3": 435, "pidfd_getfd": 438,
}  # fmt: skip
_MACHINES = {"x86_64": (0xC000003E, _X86), "aarch64": (0xC00000B7, _ARM)}
MACHINE, NUMBERS = _MACHINES.get(platform.machine(), (0, {}))
_UNWATCHED = {"seccomp", "pidfd_getfd"}
NAMES = {number: name for name, number in NUMBERS.items() if name not in _UNWATCHED}

# Of these the program itself consists; they are read the same in every call.
# Nor is what the libraries look up, names of numbers, a part of the work.
_CODE = (sys.base_prefix, str(Path(__file__).parents[1]), "/usr/lib", "/lib", "/etc/ld")
_CODE += (sys.prefix, os.path.realpath(sys.prefix))
_CODE += ("/etc/iproute2", "/etc/connlabel.conf", "/etc/protocols", "/usr/share")
_AT_FDCWD = 0xFFFFFF9C


@dataclass(frozen=True)
class Call:
    """One thing that a process asks of the kernel.

    `errors` are what it may be answered instead; `refuse` has the error answered that
    it is given, where that is not what the system call itself returns.
    """

    name: str
    what: str
    changes: bool
    errors: tuple[int, ...]
    refuse: Callable[[int], None] | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.what}"


class Task:
    """A process that waits for the answer to a call."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
        self.netlink = netlink_refusal.Refusals(self.memory, pidfd)

    def close(self) -> None:
        """Give back what is held of it."""
        os.close(self.memory)

    def text(self, address: int) -> str:
        """Return the text at `address`, a path."""
        room = 4096 - address % 4096
        found = os.pread(self.memory, room, address)
        if b"\0" not in found:
            found += os.pread(self.memory, 4096, address + room)
        return os.fsdecode(found.split(b"\0")[0])

    def file(self, number: int) -> str:
        """Return the path of a descriptor that is a file or directory, or ""."""
        try:
            found = os.readlink(f"/proc/{self.pid}/fd/{number & 0xFFFFFFFF}")
        except FileNotFoundError:
            return ""
        return found if found[0] == "/" else ""

    def path(self, directory: int, address: int) -> str:
        """Return the path that is at `address`, relative to a descriptor."""
        found = self.text(address)
        if found[:1] == "/" or directory & 0xFFFFFFFF == _AT_FDCWD:
            return found
        return f"{self.file(directory)}/{found}"

    def answered(self, name: str, arguments: Sequence[int]) -> int | None:
        """Return what a call returns that has been made in its stead, or None."""
        if name in {"recvfrom", "recvmsg"}:
            return self.netlink.received(name, arguments)
        return None


def calls(task: Task, name: str, arguments: Sequence[int]) -> list[Call]:
    """Return what a system call asks for: most one thing, netlink's several or none."""
    if name in {"sendto", "sendmsg"}:
        return _sent(task, name, arguments)
    if name in {"recvfrom", "recvmsg"}:
        is_known = task.netlink.knows(arguments[0])
        return [Call(name, "an answer", False, (ENOBUFS,))] if is_known else []
    if name in _BY_PATH:
        return _of_path(task, name, arguments)
    if name in _BY_FILE:
        path = task.file(arguments[0])
        return _of_file(name, path) if path else []
    if name == "execve":
        program = task.text(arguments[0])
        return [Call(name, program, True, (ENOENT, EACCES, ENOMEM))]
    changes, *errors = _OTHERS[name]
    if name == "socket" and _is_of_library(arguments):
        errors = []
    return [Call(name, "", bool(changes), tuple(errors))]


def _is_of_library(arguments: Sequence[int]) -> bool:
    """Tell whether a socket is one that libnftables opens for itself.

    The library ends the process where it gets none (netlink_init_error() in its
    src/netlink.c), and nothing can be made of that: what changes the host opens such
    sockets itself before it begins (nft.check_openable), and those are refused. The
    library's are told by lacking the flag that Python gives to each of its own.
    """
    return arguments[0] == socket.AF_NETLINK and not arguments[1] & socket.SOCK_CLOEXEC


# Where the path is among the arguments: of a directory's descriptor, and its own.
_BY_PATH = {
    "open": (None, 0), "openat": (0, 1),
    "mkdir": (None, 0), "mkdirat": (0, 1),
    "rmdir": (None, 0), "unlink": (None, 0), "unlinkat": (0, 1),
    "rename": (None, 1), "renameat": (2, 3), "renameat2": (2, 3),
    "link": (None, 1), "linkat": (2, 3), "symlink": (None, 1), "symlinkat": (1, 2),
    "chmod": (None, 0), "fchmodat": (0, 1), "chown": (None, 0),
}  # fmt: skip
_BY_FILE = {
    "read": (EIO,), "pread64": (EIO,), "getdents64": (EIO,),
    "write": (ENOSPC, EIO), "pwrite64": (ENOSPC, EIO), "ftruncate": (EIO, EPERM),
    "fchmod": (EPERM, EIO), "fchown": (EPERM, EIO), "fsync": (EIO, ENOSPC),
    "fdatasync": (EIO, ENOSPC), "flock": (ENOLCK,),
}  # fmt: skip
_READING = {"read", "pread64", "getdents64", "flock", "fsync", "fdatasync"}
_OTHERS = {
    "setns": (False, EPERM, ENOMEM), "unshare": (False, ENOSPC, EPERM),
    "socket": (False, EMFILE, ENOBUFS, EACCES), "bind": (False, ENOMEM),
    "connect": (False, ECONNREFUSED, EACCES),
    "clone": (True, EAGAIN, ENOMEM), "clone3": (True, EAGAIN, ENOMEM),
    "fork": (True, EAGAIN, ENOMEM), "vfork": (True, EAGAIN, ENOMEM),
    "kill": (True, EPERM), "pidfd_send_signal": (True, EPERM),
    "pidfd_open": (False, EMFILE, ENOMEM),
}  # fmt: skip


def _of_path(task: Task, name: str, arguments: Sequence[int]) -> list[Call]:
    directory, own = _BY_PATH[name]
    at = _AT_FDCWD if directory is None else arguments[directory]
    path = task.path(at, arguments[own])
    if path.startswith(_CODE):
        return []
    if name not in {"open", "openat"}:
        errors = (EIO, EROFS, EACCES) if "unlink" in name else (ENOSPC, EROFS, EACCES)
        return [Call(name, path, True, errors)]
    flags = arguments[own + 1]
    if flags & (os.O_CREAT | os.O_TRUNC | (os.O_TMPFILE ^ os.O_DIRECTORY)):
        # A file that is there is only opened.
        errors = (ENOSPC, EROFS, EMFILE)
        return [Call(f"{name} anew", path, True, errors)]
    if path.startswith("/proc/sys/") and not flags & os.O_ACCMODE:
        return [Call(name, path, False, (EMFILE,))]
    if flags & os.O_ACCMODE:
        return [Call(f"{name} to write", path, False, (EACCES, EROFS, EMFILE))]
    return [Call(name, path, False, (EMFILE, ENOMEM, EIO))]


def _of_file(name: str, path: str) -> list[Call]:
    if path.startswith(_CODE):
        return []
    errors = _BY_FILE[name]
    if path.startswith("/proc/sys/") and name == "write":
        errors = (EINVAL, EPERM)
    elif path.startswith("/proc/sys/"):
        errors = (ENOMEM,)  # EIO says that there is no value
    return [Call(name, path, name not in _READING, errors)]


def _sent(task: Task, name: str, arguments: Sequence[int]) -> list[Call]:
    messages = task.netlink.sent(name, arguments)
    if messages is None:
        with suppress(OSError):
            mode = os.stat(f"/proc/{task.pid}/fd/{arguments[0]}").st_mode
            if stat.S_ISSOCK(mode):
                return [Call(name, "to a socket", True, (EPERM, ENETUNREACH))]
        return []
    found = [
        Call(name, each.name, each.changes, each.errors, each.refuse)
        for each in messages
    ]
    return [
        Call(name, "netlink", any(e.changes for e in found), (ENOBUFS, EPERM)),
        *found,
    ]
