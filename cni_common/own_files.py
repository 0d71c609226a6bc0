# SPDX-License-Identifier: Apache-2.0
"""Files and directories that are ours alone: nothing is followed, and nothing of
somebody else's is taken for ours.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager, suppress

from cni_common.spec.errors import is_absence, of_os

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT_MAX = 1 << 20  # bytes
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def refusal(doing: str, *, absence: bool = False) -> Iterator[None]:
    """Raise what the system refuses in the block as Code.IO_FAILURE or
    Code.TRY_AGAIN_LATER, saying `doing`.

    With `absence`, that something is not there ends the block, and is no error.
    """
    try:
        yield
    except MemoryError as error:
        shortage = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        raise of_os(doing, shortage) from error
    except OSError as error:
        if not (absence and is_absence(error)):
            raise of_os(doing, error) from error


def strange(found: os.stat_result, longest: int = CONTENT_MAX) -> str:
    """Return why a file is none of ours, or nothing; `longest` is in bytes."""
    if not stat.S_ISREG(found.st_mode):
        return "it is no file"
    if found.st_uid != os.geteuid():
        return f"it belongs to user {found.st_uid}"
    return "it is too long" if found.st_size > longest else ""


def is_there(name: str, dir_fd: int) -> bool:
    """Tell whether the directory `dir_fd` has something by that name."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except (FileNotFoundError, ValueError):
        return False
    return True


def removed(name: str, dir_fd: int) -> bool:
    """Remove what has that name; false for a directory that is not empty."""
    try:
        remove(name, dir_fd)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        return False
    return True


def remove(name: str, dir_fd: int) -> None:
    """Remove what has that name; raises OSError."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        os.rmdir(name, dir_fd=dir_fd)


def set_mode(directory: str, mode: int, *, at_least: bool = False) -> None:
    """Give a directory `mode`, or, with `at_least`, what it lacks of it."""
    fd = os.open(directory, DIRECTORY)
    try:
        present = stat.S_IMODE(os.fstat(fd).st_mode)
        wanted = mode | present if at_least else mode
        if present != wanted:
            os.fchmod(fd, wanted)
    finally:
        os.close(fd)


@contextmanager
def exclusively(directory: str) -> Iterator[int]:
    """Hold a lock on `directory` and give its descriptor."""
    dir_fd = os.open(directory, DIRECTORY)
    try:
        fcntl.flock(dir_fd, fcntl.LOCK_EX)
        yield dir_fd
    finally:
        os.close(dir_fd)


@contextmanager
def held(path: str, *, wait: bool) -> Iterator[bool]:
    """Hold the file at `path`, as nobody else does; tell whether it is held.

    It is not if it is absent, or if somebody holds it and that is not waited for.
    """
    fd, is_held = -1, False
    try:
        with refusal(f"hold {path}", absence=True), suppress(BlockingIOError):
            fd = os.open(path, READ)
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            is_held = True
        yield is_held
    finally:
        if fd >= 0:
            os.close(fd)


def replace_synced(dir_fd: int, name: str, content: bytes) -> None:
    """Replace `name` by a file of root's, whole or not at all, also if power fails.

    One call at a time may do so in the directory `dir_fd`. Raises OSError.
    """
    unfinished = f".{name}.new"  # one a name, so that a killed call leaves one at most
    remove(unfinished, dir_fd)
    try:
        with open(os.open(unfinished, _NEW, 0o600, dir_fd=dir_fd), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        rename_over(unfinished, name, dir_fd)
    except OSError:
        with suppress(OSError):  # on a full disk it would take what room there is
            os.unlink(unfinished, dir_fd=dir_fd)
        raise
    os.fsync(dir_fd)


def rename_over(old: str, new: str, dir_fd: int) -> None:
    """Give a file the name `new`, which an empty directory may have; raises OSError."""
    try:
        os.rename(old, new, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except IsADirectoryError:
        os.rmdir(new, dir_fd=dir_fd)
        os.rename(old, new, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
