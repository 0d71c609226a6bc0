# SPDX-License-Identifier: Apache-2.0
"""The file that `logFile` names: appended to, if nobody else can have put it there."""

from __future__ import annotations

import errno
import os
import stat

from cni_common import trusted_path
from cni_common.spec import json_text

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
