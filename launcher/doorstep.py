# SPDX-License-Identifier: Apache-2.0
"""`__main__.py` of the packed file: extract the archive once, then run from there.

A tree is complete from the moment it has its name, for it is renamed into place; it
is named after the build, so that all copies of a file share it, whatever their names.
What others could have written is neither used nor written to. Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILD = "@BUILD@"
ROOT = "@ROOT@"
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
DIRECTORY_MODE = 0o755
START = "start.py"


class RefusedError(OSError):
    """A directory that this program must not trust; the message says why."""


def roots() -> list[str]:
    """Return the directories where trees may lie, in order of preference."""
    fixed = [ROOT, "/run/cnipy"]
    uid = os.geteuid()
    return fixed if uid == 0 else [*fixed, f"/run/user/{uid}/cnipy"]


def tree_in(candidates: list[str], archive: str) -> str:
    """Return the path of this build's tree, extracted now unless it is there.

    Raises OSError with one cause per candidate when none can be used.
    """
    causes = []
    for root in candidates:
        try:
            return _existing(root) or _extracted(root, archive)
        except OSError as error:
            causes.append(str(error))
    raise OSError("; ".join(causes))


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


def _existing(root: str) -> str | None:
    tree = os.path.join(root, BUILD)
    try:
        check_owned(root, 0, os.geteuid())
        check_owned(tree, 0, os.geteuid())
        os.stat(os.path.join(tree, START))
    except FileNotFoundError:
        return None
    return tree


def _extracted(root: str, archive: str) -> str:
    import shutil
    import tempfile
    import zipfile

    tree = os.path.join(root, BUILD)
    os.umask(0o022)
    os.makedirs(root, DIRECTORY_MODE, exist_ok=True)
    check_owned(root, os.geteuid())
    _check_ancestors(root)
    with _locked(os.path.join(root, f".{BUILD}.lock")):
        if _existing(root):
            return tree
        for name in os.listdir(root):
            if name.startswith(f".{BUILD}.tree."):
                shutil.rmtree(os.path.join(root, name))
        unfinished = tempfile.mkdtemp(prefix=f".{BUILD}.tree.", dir=root)
        try:
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(unfinished)
            os.chmod(unfinished, DIRECTORY_MODE)
            _sync(unfinished)
            with suppress(FileNotFoundError):  # a tree from which no call can start
                os.rename(tree, f"{unfinished}.lost")
            os.rename(unfinished, tree)
            shutil.rmtree(f"{unfinished}.lost", ignore_errors=True)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return tree


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


def _refusal(name: str, error: OSError) -> int:
    import json

    msg = f"extract {name}: {error}"
    if name == "cnipy":
        sys.stderr.write(f"cnipy: {msg}\n")
        return 1
    document = {"cniVersion": "1.1.0", "code": 5, "msg": msg}
    sys.stdout.write(json.dumps(document) + "\n")
    return 1


def main() -> int:
    """Run the plugin named by the file's base name; does not return if it could."""
    archive = sys.argv[0]
    try:
        tree = tree_in(roots(), archive)
    except OSError as error:
        return _refusal(os.path.basename(archive), error)
    del sys.path[0]  # the archive itself
    sys.path.append(os.path.join(tree, "site-packages"))
    from launcher.entry import run

    return run(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
