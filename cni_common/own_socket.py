# SPDX-License-Identifier: Apache-2.0
"""Sockets on which a server of ours listens: by systemd, or made in a file system."""

from __future__ import annotations

import os
import socket
import stat

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

_LISTEN_FDS_START = 3
_NUMBERS = ("1", "2")  # as many as our units have


def listen(path: str, backlog: int) -> socket.socket:
    """Return a socket at `path` with mode 0600, in a directory of root's.

    One that nobody listens on any more is replaced. Raises OSError.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"listen on {path}: {directory} is not our directory")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"listen on {path}: {directory} is writable by others")
    remove_dead(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    except OSError as error:  # which does not say where
        listener.close()
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.umask(before)
    listener.listen(backlog)
    return listener


def inherited(env: Mapping[str, str]) -> socket.socket | None:
    """Return the one socket that systemd passed, or None."""
    found = passed(env)
    return found[0] if len(found) == 1 else None


def passed(env: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd passed (sd_listen_fds(3))."""
    number = env.get("LISTEN_FDS", "")
    if env.get("LISTEN_PID") != str(os.getpid()) or number not in _NUMBERS:
        return []
    descriptors = range(_LISTEN_FDS_START, _LISTEN_FDS_START + int(number))
    for each in descriptors:
        os.set_inheritable(each, False)
    return [socket.socket(fileno=each) for each in descriptors]


def remove_if(path: str, bound: os.stat_result) -> None:
    """Remove what was bound, unless another, of systemd's perhaps, has its place."""
    if os.path.exists(path) and os.path.samestat(os.lstat(path), bound):
        os.unlink(path)


def remove_dead(path: str) -> None:
    """Remove a socket on which nobody listens any more; raises OSError."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(f"listen on {path}: it is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # one that hangs with a queue that is full is there
        try:
            probe.connect(path)
        except BlockingIOError:
            pass
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise FileExistsError(f"listen on {path}: a server is listening there")
