# SPDX-License-Identifier: Apache-2.0
"""The directory of configurations, when a list is written into it or taken out.

Who does either holds one lock, so that of two at once the second sees what the first
did. A list appears whole and under a name that nobody has; one that is removed is
hidden from runtimes first, under a name by which a later call finds what is left of it.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cni_common import state, trusted_path
from cni_common.own_files import refusal
from cni_common.spec.characters import is_identifier
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from cnipy import network as networks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LOCK = "network-lists"
_UNFINISHED = ".cnipy-unfinished"
_HIDDEN = ".{}.removed-by-cnipy"
_MODE = 0o644  # as runtimes write them; there is no secret in a list
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def check_name(doing: str, name: str) -> None:
    """Raise Code.INVALID_CONFIG for what cannot be a network's name."""
    if not is_identifier(name):
        msg = f"{doing} network {name!r:.80}: no network can be called so"
        hint = "letters and digits, behind the first also _, . and -"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)


@dataclass(frozen=True)
class Directory:
    """A directory of configurations, open and locked."""

    path: str
    fd: int

    def write(self, name: str, text: str) -> None:
        """Have a new file `name` there, whole or not at all.

        Raises Code.IO_FAILURE, also where something has the name.
        """
        with refusal(f"write {os.path.join(self.path, name)}"):
            with suppress(FileNotFoundError):  # of a call that was killed
                os.unlink(_UNFINISHED, dir_fd=self.fd)
            opened = os.open(_UNFINISHED, _FLAGS, 0o600, dir_fd=self.fd)
            try:
                with os.fdopen(opened, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fchmod(opened, _MODE)
                    os.fsync(opened)
                both = {"src_dir_fd": self.fd, "dst_dir_fd": self.fd}
                os.link(_UNFINISHED, name, **both, follow_symlinks=False)
            finally:
                os.unlink(_UNFINISHED, dir_fd=self.fd)
            os.fsync(self.fd)

    def check_file(self, file: str) -> None:
        """Raise Code.INVALID_CONFIG unless a file is one, and no link to another."""
        found = os.stat(os.path.basename(file), dir_fd=self.fd, follow_symlinks=False)
        if stat.S_ISREG(found.st_mode):
            return
        msg = f"remove {file}: it is no regular file"
        hint = ""
        if stat.S_ISLNK(found.st_mode):
            hint = f"it is a link to {os.readlink(file)}: whoever placed it removes it"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)

    def hide(self, file: str, network: str) -> None:
        """Have no runtime see the list any more; raises Code.IO_FAILURE."""
        self._rename(os.path.basename(file), _HIDDEN.format(network))

    def show(self, file: str, network: str) -> None:
        """Undo `hide`; raises Code.IO_FAILURE."""
        self._rename(_HIDDEN.format(network), os.path.basename(file))

    def hidden(self, network: str) -> str:
        """Return the path of the list that is hidden, or nothing without one."""
        path = os.path.join(self.path, _HIDDEN.format(network))
        return path if os.path.isfile(path) and not os.path.islink(path) else ""

    def forget(self, network: str) -> None:
        """Remove what is hidden; that there is nothing is success."""
        with refusal(f"remove {self.path}/{_HIDDEN.format(network)}", absence=True):
            os.unlink(_HIDDEN.format(network), dir_fd=self.fd)
        os.fsync(self.fd)

    def _rename(self, before: str, after: str) -> None:
        with refusal(f"rename {os.path.join(self.path, before)}"):
            os.rename(before, after, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            os.fsync(self.fd)


@contextmanager
def locked(path: str, *, create: bool) -> Iterator[Directory]:
    """Hold the lock of all directories of configurations, and this one open.

    Raises Code.IO_FAILURE where it is not there and not to be made, where others could
    have led the path elsewhere, and where everybody may write.
    """
    full = os.path.abspath(path)
    with state.lock(_LOCK):
        with refusal(f"use {full}"):
            fd = trusted_path.open_directory(full, create=create)
        try:
            with refusal(f"use {full}"):
                trusted_path.check_private(fd)
            yield Directory(full, fd)
        finally:
            os.close(fd)


def file_name(network: str, there: Sequence[str]) -> str:
    """Return what the file of a new network is called, beside those `there`.

    The next number goes before its name. Runtimes take the first file for the node's
    default network: that one stays the first.
    """
    numbers = (_number(each) for each in there)
    number = _next(max(filter(None, numbers), default="09"))
    ways = (f"{number}-{network}", network, f"zz-{network}", f"~{network}")
    files = [f"{way}{networks.LISTS[0]}" for way in ways]
    first = min(there, default="")
    return next((each for each in files if each > first), files[-1])


def _number(file: str) -> str:
    """Return the digits that a file's name begins with."""
    return file[: len(file) - len(file.lstrip("0123456789"))]


def _next(number: str) -> str:
    """Return digits that come behind `number` in the order of names."""
    if set(number) == {"9"}:
        return f"{number}0"
    return str(int(number) + 1).zfill(len(number))
