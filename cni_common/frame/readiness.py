# SPDX-License-Identifier: Apache-2.0
"""Can files be made where ADD will make some? STATUS tries it."""

from __future__ import annotations

import errno
import os

from cni_common import state
from cni_common.spec.errors import CNIError, Code


def takes_files(directory: str) -> bool:
    """Tell whether a file can be made in `directory`, or in what is to be made for it.

    It is tried, for access(2) says yes to root in /proc, in /sys, and where a security
    module says no. Nothing is left of that, not even a time.
    """
    while not os.path.lexists(directory):
        directory = os.path.dirname(directory)
    try:
        os.close(os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return error.errno == errno.EOPNOTSUPP and _takes_named_files(directory)
    return True


def check_records() -> None:
    """Raise Code.NOT_AVAILABLE unless an attachment could be recorded now."""
    if not takes_files(state.path()):
        msg = f"write record: no file can be made in {state.ROOT}"
        raise CNIError(Code.NOT_AVAILABLE, msg)


def _takes_named_files(directory: str) -> bool:
    """Tell the same of a file system that has no files without a name."""
    name = os.path.join(directory, f".cnipy-{os.urandom(8).hex()}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(name, flags, 0o600))
        os.unlink(name)
    except OSError:
        return False
    return True
