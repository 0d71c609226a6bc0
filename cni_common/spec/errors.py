# SPDX-License-Identifier: Apache-2.0
"""The error object and its codes (CNI spec 1.1.0, section 5, "Error")."""

from __future__ import annotations

import errno
from enum import IntEnum

# What cannot be there, at a path that another kind of thing may have.
_ABSENCE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENXIO,
        errno.ENODEV,
        errno.EISDIR,
    }
)
_SHORTAGE = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EAGAIN,
        errno.EINTR,
    }
)


class Code(IntEnum):
    """Error codes; those below 100 are the specification's."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    UNKNOWN_CONTAINER = 3
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    DECODE_FAILURE = 6
    INVALID_CONFIG = 7
    INVALID_NETNS = 8
    TRY_AGAIN_LATER = 11
    NOT_AVAILABLE = 50
    LIMITED_CONNECTIVITY = 51
    INTERNAL = 999


class CNIError(Exception):
    """A failure as the runtime will see it.

    code: number of the error, msg: "verb object: cause", details: what helps
    beyond that (may be empty).
    """

    def __init__(self, code: int, msg: str, details: str = "") -> None:
        super().__init__(msg)
        self.code = int(code)
        self.msg = msg
        self.details = details

    def __str__(self) -> str:
        return f"{self.msg}: {self.details}" if self.details else self.msg

    def document(self, cni_version: str) -> dict[str, object]:
        """Return the error object in the form that goes to stdout."""
        document: dict[str, object] = {
            "cniVersion": cni_version,
            "code": self.code,
            "msg": self.msg,
        }
        if self.details:
            document["details"] = self.details
        return document


class StrandedError(BaseException):
    """Whatever this process did now, it would do to somebody else.

    So it is no Exception: nothing catches it to go on, nothing is undone, the call
    ends with code 999.
    """


def cause_of(error: OSError) -> str:
    """Return the cause as it stands at the end of a message."""
    return (error.strerror or str(error)).lower()


def is_absence(error: OSError) -> bool:
    """Tell whether nothing is there, rather than that it could not be looked at."""
    return error.errno in _ABSENCE


def is_shortage(error: OSError) -> bool:
    """Tell whether the same call may succeed a moment later."""
    return error.errno in _SHORTAGE


def of_os(doing: str, error: OSError) -> CNIError:
    """Return code 5 for what the system refused, or 11 if it may not the next time."""
    code = Code.TRY_AGAIN_LATER if is_shortage(error) else Code.IO_FAILURE
    return CNIError(code, f"{doing}: {cause_of(error)}")
