# SPDX-License-Identifier: Apache-2.0
"""The file that `logFile` names: appended to, if nobody else can have put it there."""

from __future__ import annotations

import errno
import os
import stat

from cni_common import trusted_path
from cni_common.frame.log import LEVELS
from cni_common.spec import gojson, json_text

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from cni_common.spec.request import Request

# Appending is atomic, so that lines of calls at the same time do not mix. Opening a
# pipe that nobody reads must not wait.
_FLAGS = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_APPEND
    | os.O_NOFOLLOW
    | os.O_NONBLOCK
    | os.O_NOCTTY
    | os.O_CLOEXEC
)


def write(
    plugin: str, request: Request, failure: str, say: Callable[[str], None]
) -> None:
    """Append the line of a call to the file that `logFile` names, if any.

    `failure` is how it ended, empty for success. What cannot be written `say` tells.
    """
    path = gojson.member(request.document, "logFile")
    if path is None or path == "":
        return
    call: dict[str, object] = {
        "plugin": plugin,
        "command": request.command,
        "network": request.network,
        "containerID": request.container_id,
        "ifname": request.ifname,
        "outcome": failure or "ok",
    }
    try:
        line = request.log.line(_level(request, say), call)
        if line:
            append(path, line)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        say(f"write log {path!r:.80}: {cause.lower()}\n")


def _level(request: Request, say: Callable[[str], None]) -> str:
    """Return the level that is asked for, `info` for a word that is none."""
    stated = gojson.member(request.document, "logLevel")
    level = str(stated or "info").lower()
    if level not in LEVELS:
        known = ", ".join(LEVELS)
        say(f"logLevel {stated!r:.80} is none of {known}: info is taken\n")
        return "info"
    return level


def append(path: object, line: dict[str, object]) -> None:
    """Append `line` as JSON to `path`, which is created with mode 0600.

    No link is followed that others could have placed; what is no regular file, has a
    second name, or belongs to somebody else is not written to. Raises OSError, and
    ValueError for what is no absolute path.
    """
    if not isinstance(path, str) or not path.startswith("/"):
        msg = "not an absolute path"
        raise ValueError(msg)
    directory, name = os.path.split(path)
    dir_fd = trusted_path.open_directory(directory)
    try:
        trusted_path.check_private(dir_fd)
        fd = os.open(name or ".", _FLAGS, 0o600, dir_fd=dir_fd)
        try:
            _check(os.fstat(fd))
            os.write(fd, f"{json_text.dumps(line)}\n".encode())
        finally:
            os.close(fd)
    finally:
        os.close(dir_fd)


def _check(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        msg = "not a regular file"
        raise ValueError(msg)
    if found.st_nlink != 1:
        raise PermissionError(errno.EACCES, "it has a second name")
    if found.st_uid not in {0, os.geteuid()}:
        raise PermissionError(errno.EACCES, "it belongs to somebody else")
