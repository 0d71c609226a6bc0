# SPDX-License-Identifier: Apache-2.0
"""Which boot a lease belongs to: no network namespace outlives the kernel it was in.

Our leases carry the boot ID (proc_sys_kernel(5), random/boot_id) in an extended
attribute, where no reader of the file's content sees it. For leases of others the
file's time decides.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

ATTRIBUTE = "user.cni.boot_id"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boot_id() -> bytes:
    """Return the kernel's ID of this boot, empty where /proc does not tell."""
    try:
        fd = os.open(_BOOT_ID, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 64).strip()
    finally:
        os.close(fd)


def mark(fd: int) -> None:
    """Write this boot's ID beside the content of the file `fd`.

    A file system without extended attributes leaves only the file's time.
    """
    current = boot_id()
    if current:
        with suppress(OSError):
            os.setxattr(fd, ATTRIBUTE, current)


def is_from_earlier(fd: int) -> bool:
    """Tell whether the file `fd` was written before the machine was last started."""
    try:
        marked = os.getxattr(fd, ATTRIBUTE)
    except OSError:
        started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        return os.fstat(fd).st_mtime < started
    current = boot_id()
    return bool(current) and marked != current
