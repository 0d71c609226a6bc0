# SPDX-License-Identifier: Apache-2.0
"""What gate.py has of the packed file: extract it once, and compile what it holds.

A tree is complete from the moment it has its name, for it is renamed into place; it is
named after the build and the interpreter that compiled it, so that all copies of a file
share it, whatever their names. What others could have written is neither used nor
written to. Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Opened = tuple[Any, ...]
    Opens = Callable[[str], Opened | None]

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
DIRECTORY_MODE = 0o755


class RefusedError(OSError):
    """A directory that this program must not trust; the message says why."""


def extracted(archive: str, roots: Sequence[str], name: str, opened: Opens) -> Opened:
    """Return what `opened` says of the tree `name`, extracted now unless it is there.

    Where no root takes a tree the runtime is told, with one cause for each, and the
    process ends.
    """
    uid = os.geteuid()
    own = [] if uid == 0 else [f"/run/user/{uid}/cnipy"]
    causes = []
    for root in (*roots, *own):
        try:
            return _existing(root, name, opened) or _made(root, name, archive, opened)
        except OSError as error:
            causes.append(str(error))
    _refuse(os.path.basename(archive), "; ".join(causes))
    sys.exit(1)


def check_owned(path: str, *owners: int) -> None:
    """Raise RefusedError unless `path` is a directory that only its owner changes.

    Raises FileNotFoundError when it is absent. A symbolic link is no directory.
    """
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise RefusedError(f"{path}: not a directory")
    if found.st_uid not in owners:
        raise RefusedError(f"{path}: owned by uid {found.st_uid}")
    if found.st_mode & WRITABLE_BY_OTHERS:
        raise RefusedError(f"{path}: writable by others")


def _existing(root: str, name: str, opened: Opens) -> Opened | None:
    """Return what `opened` says of a tree, None without one from which calls start."""
    try:
        check_owned(root, 0, os.geteuid())
        check_owned(os.path.join(root, name), 0, os.geteuid())
        return opened(os.path.join(root, name))
    except FileNotFoundError:
        return None


def _made(root: str, name: str, archive: str, opened: Opens) -> Opened:
    os.umask(0o022)
    os.makedirs(root, DIRECTORY_MODE, exist_ok=True)
    check_owned(root, os.geteuid())
    _check_ancestors(root)
    with _locked(os.path.join(root, f".{name}.lock")):
        # Somebody else may have made it while we waited.
        found = _existing(root, name, opened)
        if not found:
            _extract(root, name, archive)
            found = _existing(root, name, opened)
    if not found:
        raise OSError(f"{root}/{name}: what was written there is not what is read")
    return found


def _extract(root: str, name: str, archive: str) -> None:
    import shutil
    import zipfile
    from zipimport import zipimporter

    for left in os.listdir(root):
        if left.startswith(f".{name}.tree."):
            shutil.rmtree(os.path.join(root, left))
    tree = os.path.join(root, name)
    unfinished = os.path.join(root, f".{name}.tree.{os.getpid()}")
    os.mkdir(unfinished, 0o700)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, unfinished, ignore_errors=True)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(unfinished)
        bundling: dict[str, Any] = {"__name__": "bundling"}
        exec(zipimporter(archive).get_code("bundling"), bundling)  # noqa: S102 - ours
        with open(os.path.join(unfinished, "bundle"), "xb") as file:
            file.write(bundling["bundle"](unfinished, tree))
        os.chmod(unfinished, DIRECTORY_MODE)
        _sync(unfinished)
        with suppress(FileNotFoundError):  # a tree from which no call can start
            os.rename(tree, f"{unfinished}.lost")
        os.rename(unfinished, tree)
        undo.pop_all()
        shutil.rmtree(f"{unfinished}.lost", ignore_errors=True)


def _check_ancestors(root: str) -> None:
    """Raise RefusedError if somebody else could put another directory in our place."""
    path = os.path.dirname(os.path.realpath(root))
    while True:
        found = os.stat(path)
        sticky = found.st_mode & stat.S_ISVTX
        if found.st_mode & WRITABLE_BY_OTHERS and not sticky:
            raise RefusedError(f"{path}: writable by others")
        if found.st_uid not in (0, os.geteuid()):
            raise RefusedError(f"{path}: owned by uid {found.st_uid}")
        if path == "/":
            return
        path = os.path.dirname(path)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(path, flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _sync(directory: str) -> None:
    """A power loss after the rename must not leave a tree of empty files."""
    import ctypes

    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        ctypes.CDLL(None).syncfs(opened)
    finally:
        os.close(opened)


def _refuse(name: str, causes: str) -> None:
    import json

    msg = f"extract {name}: {causes}"
    if name == "cnipy":
        sys.stderr.write(f"cnipy: {msg}\n")
    else:
        document = {"cniVersion": "1.1.0", "code": 5, "msg": msg}
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
