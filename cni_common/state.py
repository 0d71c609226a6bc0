# SPDX-License-Identifier: Apache-2.0
"""Files under /run/cni/cnipy: what was done, written down beside what it describes.

The directory lies on a tmpfs, so it vanishes at a reboot together with links and
rules. Directories have mode 0700, files 0600, but for what another program is made to
read; symbolic links are not followed.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "/run/cni/cnipy"
NAME_MAX = 200
_PRIVATE = 0o700
_PASSABLE, _READABLE = 0o711, 0o755
# One name in each directory, so that a killed process leaves nothing that nobody
# would find. Who holds the lock on the directory may write it, or remove it.
_UNFINISHED = ".unfinished"


def path(*parts: str) -> str:
    """Return the path of a state file or directory."""
    return os.path.join(ROOT, *parts)


def ensure_directory(*parts: str) -> str:
    """Return the path of a directory that exists now, with all above it."""
    full = path(*parts)
    _ensure(full)
    return full


def ensure_readable_directory(*parts: str) -> str:
    """Return the path of a directory that every user may read; it exists now.

    For a program that works without privileges. Those above it can be passed through
    by every user, but not be listed.
    """
    full = ensure_directory(*parts)
    # The reference's tuning makes /run/cni with mode 0600, and a umask may as well.
    _set_mode(os.path.dirname(ROOT), _PASSABLE, at_least=True)
    for depth in range(len(parts)):
        _set_mode(path(*parts[:depth]), _PASSABLE)
    _set_mode(full, _READABLE)
    return full


def write(directory: str, name: str, document: object) -> None:
    """Replace `name` in `directory` by `document` as JSON, whole or not at all.

    The directory is made again if a concurrent `delete` has just removed it.
    """
    write_text(directory, name, json.dumps(document))


def write_text(directory: str, name: str, text: str, mode: int = 0o600) -> None:
    """Replace `name` in `directory` by `text` as `write` does, with `mode`."""
    content = text.encode()
    while True:
        try:
            with _exclusively(directory) as place:
                _replace(place, name, content, mode)
        except FileNotFoundError:
            _ensure(directory)
        else:
            return


def read(directory: str, name: str) -> Any:
    """Return the JSON document in `name`, or None when it is absent or unreadable."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(os.path.join(directory, name), flags)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        with open(fd, "rb", closefd=False) as file:
            return json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(fd)


def delete(directory: str, name: str) -> None:
    """Make `name` absent, and `directory` too if it is empty then."""
    with suppress(FileNotFoundError), _exclusively(directory) as place:
        for each in (name, _UNFINISHED):
            with suppress(FileNotFoundError):
                os.unlink(each, dir_fd=place)
        remove_if_empty(directory)


def remove_if_empty(directory: str) -> bool:
    """Remove `directory` if nothing is in it; tell whether it is absent now."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def names(directory: str) -> list[str]:
    """Return the names in `directory`, without temporary ones; absent means none."""
    try:
        return sorted(name for name in os.listdir(directory) if name[0] != ".")
    except FileNotFoundError:
        return []


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock `name`; the kernel lets go of it when the process ends."""
    directory = ensure_directory("locks")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(os.path.join(directory, name), flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _ensure(directory: str) -> None:
    """Make the directories that are missing; the mode is not left to the umask."""
    try:
        os.mkdir(directory, _PRIVATE)
    except FileExistsError:
        return
    except FileNotFoundError:
        above = os.path.dirname(directory)
        if os.path.commonpath([above, ROOT]) == ROOT:
            _ensure(above)
        else:
            os.makedirs(above, 0o755, exist_ok=True)
        _ensure(directory)


def _set_mode(directory: str, mode: int, *, at_least: bool = False) -> None:
    """Give a directory `mode`, or, with `at_least`, what it lacks of it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(directory, flags)
    try:
        present = stat.S_IMODE(os.fstat(fd).st_mode)
        wanted = mode | present if at_least else mode
        if present != wanted:
            os.fchmod(fd, wanted)
    finally:
        os.close(fd)


@contextmanager
def _exclusively(directory: str) -> Iterator[int]:
    """Hold a lock on `directory` and give its descriptor."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    place = os.open(directory, flags)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield place
    finally:
        os.close(place)


def _replace(place: int, name: str, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(_UNFINISHED, flags, 0o600, dir_fd=place)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, mode)
        os.rename(_UNFINISHED, name, src_dir_fd=place, dst_dir_fd=place)
    except OSError:
        with suppress(OSError):
            os.unlink(_UNFINISHED, dir_fd=place)
        raise
