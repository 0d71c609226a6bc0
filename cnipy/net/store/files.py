# SPDX-License-Identifier: Apache-2.0
"""Files of a store that is a directory."""

from __future__ import annotations

import os
import stat

from cni_common.own_files import DIRECTORY, READ
from cnipy.net.store.errors import StoreError

_FILE_MAX = (1 << 20) + 4096


def content_of(path: str) -> bytes:
    """Return what a file has; raises OSError, and StoreError for what is no file."""
    fd = os.open(path, READ)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise StoreError(f"read {path}: it is no file")
    with open(fd, "rb") as file:
        return file.read(_FILE_MAX)


def sync(directory: str) -> None:
    """Have the names in a directory outlive a loss of power; raises OSError."""
    fd = os.open(directory, DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
