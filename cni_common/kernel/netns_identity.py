# SPDX-License-Identifier: Apache-2.0
"""By what a network namespace is told, for those who need not enter one.

Apart from `netns`, which calls the C library, and that is expensive to import.
"""

from __future__ import annotations

import os

from cni_common.spec.errors import is_absence, of_os

OWN = "/proc/thread-self/ns/net"


def at(path: str) -> str:
    """Return the identity of what is at `path`, or an empty text if nothing is.

    No other living network namespace has the same. Raises Code.IO_FAILURE or
    Code.TRY_AGAIN_LATER when it cannot be told.
    """
    try:
        status = os.stat(path)
    except ValueError:
        return ""
    except OSError as error:
        if is_absence(error):
            return ""
        raise of_os(f"look for network namespace {path!r}", error) from error
    return f"{status.st_dev}:{status.st_ino}"


def lives(path: str, identity: str) -> bool:
    """Tell whether the namespace that had `identity` is still found at `path`.

    Raises Code.IO_FAILURE or Code.TRY_AGAIN_LATER when it cannot be told.
    """
    return bool(identity) and at(path) == identity


def is_own(path: str) -> bool:
    """Tell whether `path` is the calling thread's namespace; absent is not."""
    return lives(path, at(OWN))
