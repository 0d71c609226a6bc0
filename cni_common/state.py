# SPDX-License-Identifier: Apache-2.0
"""Files under /run/cni/cnipy: what was done, written down beside what it describes.

The directory lies on a tmpfs, so it vanishes at a reboot together with links and
rules. Directories have mode 0700, files 0600, but for what another program is made to
read; symbolic links are not followed.

What is absent, and what is none of ours, is told apart from what cannot be looked at
just now: that is Code.IO_FAILURE, or Code.TRY_AGAIN_LATER where the next call may
succeed.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager, suppress

from cni_common import shapes, trusted_path
from cni_common.frame.log import remark
from cni_common.own_files import (
    DIRECTORY,
    READ,
    exclusively,
    is_there,
    refusal,
    remove,
    removed,
    rename_over,
    set_mode,
    strange,
)
from cni_common.spec import json_text
from cni_common.spec.errors import is_absence, of_os

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from cni_common.shapes import Table

ROOT = "/run/cni/cnipy"
NAME_MAX = 200
_PRIVATE = 0o700
_PASSABLE, _READABLE = 0o711, 0o755
# One name in each directory, so that a killed process leaves nothing that nobody
# would find. Who holds the lock on the directory may write it, or remove it.
_UNFINISHED = ".unfinished"
_trusted: set[str] = set()  # what this process has looked at
_instead: list[int] = []  # directories that are held where no lock can be made
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def path(*parts: str) -> str:
    """Return the path of a state file or directory.

    Raises Code.IO_FAILURE where others could have led it elsewhere.
    """
    if ROOT not in _trusted:
        with refusal(f"use {ROOT}", absence=True):
            os.close(trusted_path.open_directory(ROOT))
            _trusted.add(ROOT)
    return os.path.join(ROOT, *parts)


def ensure_directory(*parts: str) -> str:
    """Return the path of a directory that exists now, with all above it."""
    full = path(*parts)
    with refusal(f"make directory {full}"):
        _ensure(full)
    return full


def ensure_readable_directory(*parts: str) -> str:
    """Return the path of a directory that every user may read; it exists now.

    For a program that works without privileges. Those above it can be passed through
    by every user, but not be listed.
    """
    full = ensure_directory(*parts)
    with refusal(f"make directory {full} readable"):
        # The reference's tuning makes /run/cni with mode 0600, and a umask may too.
        set_mode(os.path.dirname(ROOT), _PASSABLE, at_least=True)
        for depth in range(len(parts)):
            set_mode(path(*parts[:depth]), _PASSABLE)
        set_mode(full, _READABLE)
    return full


def write(directory: str, name: str, document: object) -> None:
    """Replace `name` in `directory` by `document` as JSON, whole or not at all.

    The directory is made again if a concurrent `delete` has just removed it.
    """
    write_text(directory, name, json_text.dumps(document))


def write_text(directory: str, name: str, text: str, mode: int = 0o600) -> None:
    """Replace `name` in `directory` by `text` as `write` does, with `mode`."""
    content = text.encode()
    with refusal(f"write {os.path.join(directory, name)}"):
        while True:
            try:
                with exclusively(directory) as dir_fd:
                    _replace(dir_fd, name, content, mode)
            except FileNotFoundError:
                _ensure(directory)
            else:
                return


def read(directory: str, name: str) -> Any:
    """Return the JSON document in `name`, or None without one.

    What is there but no document of ours is told to the administrator.
    """
    content = read_bytes(directory, name)
    try:
        return None if content is None else json_text.loads(content)
    except (ValueError, RecursionError):
        distrust(directory, name, "it is no JSON document")
        return None


def read_table(directory: str, name: str, table: Table) -> dict[str, Any] | None:
    """Return what the document in `name` has of `table`, or None as `read` does."""
    document = read(directory, name)
    try:
        if document is not None:
            return shapes.members(shapes.mapping(document), table)
    except ValueError as error:
        distrust(directory, name, str(error))
    return None


def read_bytes(directory: str, name: str) -> bytes | None:
    """Return what `name` has, or None when there is no file of ours by that name."""
    full = os.path.join(directory, name)
    try:
        fd = os.open(full, READ)
    except ValueError:
        return None
    except OSError as error:
        if not is_absence(error):
            raise of_os(f"read {full}", error) from error
        if os.path.lexists(full):
            distrust(directory, name, "it is no file")
        return None
    try:
        found = os.fstat(fd)
        cause = strange(found)
        if cause:
            distrust(directory, name, cause)
            return None
        with refusal(f"read {full}"), open(fd, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(fd)


def distrust(directory: str, name: str, cause: str) -> None:
    """Tell the administrator that a thing among ours is passed over, and why."""
    remark(f"pass over {os.path.join(directory, name)!r}: {cause}")


def delete(directory: str, name: str = "") -> None:
    """Make `name` absent, and `directory` too if it is empty then."""
    with (
        refusal(f"remove {os.path.join(directory, name)}", absence=True),
        exclusively(directory) as dir_fd,
    ):
        for each in filter(None, (name, _UNFINISHED)):
            if is_there(each, dir_fd) and not removed(each, dir_fd):
                distrust(directory, each, "it is a directory with something in it")
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
    with refusal(f"list {directory}", absence=True):
        dir_fd = os.open(directory, DIRECTORY)
        try:
            return sorted(name for name in os.listdir(dir_fd) if name[0] != ".")
        finally:
            os.close(dir_fd)
    return []


def any_name(directory: str, is_ours: Callable[[str], object]) -> str:
    """Return a name in `directory` that is ours, the first that is found; "" without.

    There may be thousands.
    """
    with refusal(f"list {directory}", absence=True):
        dir_fd = os.open(directory, DIRECTORY)
        try:
            with os.scandir(dir_fd) as entries:
                found = (entry.name for entry in entries if is_ours(entry.name))
                return next(found, "")
        finally:
            os.close(dir_fd)
    return ""


@contextmanager
def lock(name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock `name`; the kernel lets go of it when the process ends.

    Tells whether it is held: not where somebody else has it, if that is not waited for.
    """
    full = path("locks", name)
    with refusal(f"lock {full}"):
        fd, is_instead = _lock_file(full)
    is_held = False
    try:
        with refusal(f"lock {full}"), suppress(BlockingIOError):
            if not (is_instead and _instead):  # which this process holds already
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            is_held = True
            _instead.extend([fd] if is_instead else [])
        yield is_held
    finally:
        if is_held and is_instead:
            _instead.remove(fd)
        os.close(fd)


def _lock_file(full: str) -> tuple[int, bool]:
    """Open a lock, made if need be; tell whether it stands for others, too.

    Where nothing can be written nobody can begin anything either: there it is a lock
    to open the directory above, and a DEL that has nothing to do succeeds.
    """
    try:
        return os.open(full, READ), False
    except FileNotFoundError:
        pass
    try:
        _ensure(os.path.dirname(full))
        return os.open(full, READ | os.O_CREAT, 0o600), False
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
    while not os.path.isdir(full):
        full = os.path.dirname(full)
    return os.open(full, DIRECTORY), True


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
            os.close(trusted_path.open_directory(above, create=True))
        _ensure(directory)


def _new(dir_fd: int) -> int:
    """Open the unfinished file, made anew."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(_UNFINISHED, flags, 0o600, dir_fd=dir_fd)
    except FileExistsError:  # what a killed process left, or nothing of ours
        remove(_UNFINISHED, dir_fd)
        return os.open(_UNFINISHED, flags, 0o600, dir_fd=dir_fd)


def _replace(dir_fd: int, name: str, content: bytes, mode: int) -> None:
    fd = _new(dir_fd)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, mode)
        rename_over(_UNFINISHED, name, dir_fd)
    except OSError:
        with suppress(OSError):
            os.unlink(_UNFINISHED, dir_fd=dir_fd)
        raise
