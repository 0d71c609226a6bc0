# SPDX-License-Identifier: Apache-2.0
"""Which leases an attachment has, without reading them all.

A side index outside the network's directory. It can be thrown away at any time, and
is believed only while the directory still bears the time that we gave it: whoever
else adds or removes a file there changes that time.
"""

from __future__ import annotations

import fcntl
import os
import time
from binascii import crc32
from contextlib import suppress

from cni_common import state
from cni_common.spec.errors import CNIError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STAMP = "stamp"
# Separates the names of leases in an entry; no address contains it.
_COMMA = ","


class Index:
    """Symbolic links `<owner>` -> `<lease>,<lease>`: a system call reads or makes one.

    The name of an owner contains "@", so that none can be `stamp`. No method raises
    for a file system that refuses: the index then is not `complete`, and the caller
    reads the leases instead.
    """

    def __init__(self, path: str, directory: int) -> None:
        """Open the index of the network's directory `path`, open as `directory`."""
        self._directory = directory
        self._root = -1
        self.complete = False
        with suppress(OSError, CNIError):
            self._root = _open(state.ensure_directory(*_location(path)))
            self.complete = self._read(_STAMP) == self._mark()

    def _mark(self) -> str:
        found = os.fstat(self._directory)
        return f"{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}"

    def _read(self, name: str) -> str:
        try:
            return os.readlink(name, dir_fd=self._root)
        except FileNotFoundError:
            return ""

    def _write(self, name: str, text: str) -> None:
        if text:
            try:
                os.symlink(text, name, dir_fd=self._root)
            except FileExistsError:
                os.unlink(name, dir_fd=self._root)
                os.symlink(text, name, dir_fd=self._root)
        else:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._root)

    def leases(self, owner: str) -> list[str]:
        """Return the names of the leases that `owner` has."""
        try:
            found = self._read(owner)
        except OSError:
            self.complete = False
            return []
        return found.split(_COMMA) if found else []

    def put(self, owner: str, leases: Sequence[str]) -> None:
        """Replace what `owner` has; nothing removes the owner from the index."""
        try:
            self._write(owner, _COMMA.join(leases))
        except OSError:
            self.complete = False

    def rebuild(self, owners: Mapping[str, Sequence[str]]) -> None:
        """Make the index hold exactly `owners`."""
        if self._root < 0:
            return
        try:
            present = set(os.listdir(self._root)) - {_STAMP}
            for name in present - owners.keys():
                os.unlink(name, dir_fd=self._root)
            for owner, leases in owners.items():
                text = _COMMA.join(leases)
                if owner not in present or self._read(owner) != text:
                    self._write(owner, text)
        except OSError:
            self.complete = False
        else:
            self.complete = True

    def close(self, *, changed: bool) -> None:
        """Stamp the directory if something `changed` and the index is complete.

        The time comes from the precise clock. The kernel's own stamps are never
        later than that clock, and a later change is later than the stamp, so no
        other change can leave the same time behind.
        """
        if self._root < 0:
            return
        with suppress(OSError):
            if changed and self.complete:
                now = time.time_ns()
                os.utime(self._directory, ns=(now, now))
                # A file system may round times; its stamps would then say too little.
                exact = os.fstat(self._directory).st_mtime_ns == now
                self._write(_STAMP, self._mark() if exact else "")
        os.close(self._root)
        self._root = -1


def discard(path: str) -> None:
    """Empty the index of the network's directory `path`, which is absent itself."""
    with suppress(OSError):
        root = _open(state.path(*_location(path)))
        try:
            # The stamp first: without it the rest is not believed.
            for name in sorted(os.listdir(root), key=lambda name: name != _STAMP):
                os.unlink(name, dir_fd=root)
        finally:
            os.close(root)


def _location(path: str) -> tuple[str, str]:
    return (
        "host-local",
        f"{os.path.basename(path)[:150]}-{crc32(os.fsencode(path)):08x}",
    )


def _open(path: str) -> int:
    """Open the index at `path` and lock it.

    The lock of the network's directory is not enough: in another mount namespace,
    another directory may have the same path.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    root = os.open(path, flags)
    try:
        if os.fstat(root).st_uid != os.geteuid():
            raise PermissionError(path)
        fcntl.flock(root, fcntl.LOCK_EX)
    except OSError:
        os.close(root)
        raise
    return root
