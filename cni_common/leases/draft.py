# SPDX-License-Identifier: Apache-2.0
"""A file that is whole and synced before it has a name, so that none is ever empty."""

from __future__ import annotations

import os
from contextlib import suppress

from cni_common.leases import boot
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Self

MODE = 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Location:
    """Where a draft gets its name, and where it may lie until then.

    The reference reads every file of `directory`, so that a temporary name can only
    be in `parent`; `spare` is that name. Both are directories' file descriptors.
    """

    directory: int
    parent: int
    spare: str


class Draft:
    """`content` on disk without a name (O_TMPFILE), or under the spare name."""

    def __init__(self, location: Location, content: bytes) -> None:
        self._location = location
        self._content = content
        flags = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
        self._spare = False
        try:
            self._fd = os.open(".", flags, MODE, dir_fd=location.directory)
        except OSError:
            # Not every file system has O_TMPFILE: NFS and older overlays do not.
            self._remove_spare()
            self._fd = os.open(location.spare, _NEW, MODE, dir_fd=location.parent)
            self._spare = True
        try:
            _fill(self._fd, content)
        except OSError:
            self.close()
            raise

    def publish(self, name: str) -> bool:
        """Give the file `name`, which must be free; tell whether it was."""
        location = self._location
        try:
            if self._spare:
                os.link(
                    location.spare,
                    name,
                    src_dir_fd=location.parent,
                    dst_dir_fd=location.directory,
                    follow_symlinks=False,
                )
            else:
                os.link(
                    f"/proc/self/fd/{self._fd}", name, dst_dir_fd=location.directory
                )
        except FileExistsError:
            return False
        except OSError:
            return self._publish_in_place(name)
        return True

    def _publish_in_place(self, name: str) -> bool:
        """Write the file anew under `name`, for file systems without hard links."""
        directory = self._location.directory
        try:
            fd = os.open(name, _NEW, MODE, dir_fd=directory)
        except FileExistsError:
            return False
        try:
            _fill(fd, self._content)
        except OSError:
            os.unlink(name, dir_fd=directory)
            raise
        finally:
            os.close(fd)
        return True

    def _remove_spare(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._location.spare, dir_fd=self._location.parent)

    def close(self) -> None:
        """Drop the file unless it was published."""
        os.close(self._fd)
        if self._spare:
            self._remove_spare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()


def _fill(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
    boot.mark(fd)
    os.fsync(fd)
