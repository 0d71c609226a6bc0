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
    finally:
        os.umask(before)
    listener.listen(backlog)
    return listener


def inherited(env: Mapping[str, str]) -> socket.socket | None:
    """Return the socket that systemd passed (sd_listen_fds(3)), or None."""
    if env.get("LISTEN_PID") != str(os.getpid()) or env.get("LISTEN_FDS") != "1":
        return None
    os.set_inheritable(_LISTEN_FDS_START, False)
    return socket.socket(fileno=_LISTEN_FDS_START)


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
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise FileExistsError(f"listen on {path}: a server is listening there")
