# SPDX-License-Identifier: Apache-2.0
"""Directories that a configuration names, opened so that only those lead there whom
root trusts anyway.

A configuration is an administrator's, but a part of its path may lie where others
write. /var/run is a link on most hosts, and fine: it is root's, in a directory in which
nobody else can place one.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from cni_common.own_files import READ, strange

_WALK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LINKS_MAX = 40


class StrangeError(PermissionError):
    """A file is none that root made: it is no file, or others could have written it."""

    def __init__(self, cause: str) -> None:
        super().__init__(errno.EACCES, cause)


def open_directory(path: str, *, create: bool = False) -> int:
    """Return a descriptor of the directory at the absolute `path`.

    With `create` what is missing of it is made, with mode 0755. Raises OSError: what
    open(2) does, and PermissionError where others could have led the path elsewhere.
    """
    trusted = _trusted()
    parts = path.split("/")[::-1]
    dir_fd, links = os.open("/", _WALK), 0
    try:
        while parts:
            name = parts.pop()
            if name in {"", "."}:
                continue
            target = _target(dir_fd, name, trusted)
            if target is None:
                dir_fd = _step(dir_fd, name, trusted, create=create)
                continue
            links += 1
            if links > _LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            parts += target.split("/")[::-1]
            if target.startswith("/"):
                dir_fd = _exchanged(dir_fd, os.open("/", _WALK))
        return os.open(".", _OPEN, dir_fd=dir_fd)
    finally:
        os.close(dir_fd)


def check_private(dir_fd: int) -> None:
    """Raise PermissionError if just anybody may write in the directory `dir_fd`."""
    if os.fstat(dir_fd).st_mode & stat.S_IWOTH:
        raise PermissionError(errno.EACCES, "its directory is writable by everybody")


def read(path: str) -> bytes:
    """Return the content of a file that nobody but root could have written.

    Raises OSError: what open(2) does, PermissionError where others may exchange it, and
    StrangeError for another one.
    """
    directory, name = os.path.split(path)
    dir_fd = open_directory(directory)
    try:
        check_private(dir_fd)
        fd = _opened(name, dir_fd)
    finally:
        os.close(dir_fd)
    with open(fd, "rb") as file:
        return file.read()


def open_file(path: str) -> int:
    """Return a descriptor of the file at the absolute `path`, for reading.

    Links lead there as in `open_directory`, also the last one, as of a certificate that
    is renewed. Raises OSError as `read` does; nothing is waited for.
    """
    for _ in range(_LINKS_MAX):
        directory, name = os.path.split(path)
        dir_fd = open_directory(directory)
        try:
            target = _target(dir_fd, name, _trusted())
            if target is None:
                return _opened(name, dir_fd)
            path = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), target)
        finally:
            os.close(dir_fd)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _trusted() -> set[int]:
    return {0, os.geteuid(), os.stat("/").st_uid}


def _opened(name: str, dir_fd: int) -> int:
    """Open a file that nobody but root could have written; raises OSError."""
    try:
        fd = os.open(name, READ, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StrangeError("it is a symbolic link") from error
        if error.errno == errno.ENXIO:
            raise StrangeError("it is no file") from error
        raise
    found = os.fstat(fd)
    cause = strange(found)
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        cause = cause or "others may write it"
    if cause:
        os.close(fd)
        raise StrangeError(cause)
    return fd


def _target(dir_fd: int, name: str, trusted: set[int]) -> str | None:
    """Return where a link leads, or None for what is no link."""
    try:
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(found.st_mode):
        return None
    around = os.fstat(dir_fd)
    others = around.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others or around.st_uid not in trusted or found.st_uid not in trusted:
        msg = f"{name!r} is a link that others could have placed"
        raise PermissionError(errno.EACCES, msg)
    return os.readlink(name, dir_fd=dir_fd)


def _step(dir_fd: int, name: str, trusted: set[int], *, create: bool) -> int:
    """Return the directory `name` in `dir_fd`, which is closed."""
    around = os.fstat(dir_fd).st_mode
    if around & stat.S_IWOTH and not around & stat.S_ISVTX:
        msg = f"{name!r} lies in a directory in which everybody may exchange it"
        raise PermissionError(errno.EACCES, msg)
    try:
        found = os.open(name, _WALK, dir_fd=dir_fd)
    except FileNotFoundError:
        if not create:
            raise
        with suppress(FileExistsError):  # made at the same time
            os.mkdir(name, 0o755, dir_fd=dir_fd)
        found = os.open(name, _WALK, dir_fd=dir_fd)
    if os.fstat(found).st_uid not in trusted:
        os.close(found)
        raise PermissionError(errno.EACCES, f"{name!r} belongs to somebody else")
    return _exchanged(dir_fd, found)


def _exchanged(dir_fd: int, found: int) -> int:
    os.close(dir_fd)
    return found
