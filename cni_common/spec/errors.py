# SPDX-License-Identifier: Apache-2.0
"""The error object and its codes (CNI spec 1.1.0, section 5, "Error")."""

from __future__ import annotations

import errno

from cni_common.spec.values import IntEnum

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable

# Longer texts hold a value of somebody's that nobody reads to its end.
_MSG_MAX, _DETAILS_MAX = 600, 4000  # characters
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
        errno.ESRCH,  # below /proc/PID
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
        msg, details = self._shown()
        return f"{msg}: {details}" if details else msg

    def document(self, cni_version: str) -> dict[str, object]:
        """Return the error object in the form that goes to stdout."""
        msg, details = self._shown()
        document: dict[str, object] = {
            "cniVersion": cni_version,
            "code": self.code,
            "msg": msg,
        }
        if details:
            document["details"] = details
        return document

    def _shown(self) -> tuple[str, str]:
        """Return msg and details as they may stand in anybody's log."""
        msg, details = printed(self.msg), printed(self.details, "\n\t")
        return _cut(msg, _MSG_MAX), _cut(details, _DETAILS_MAX)


def printed(text: str, kept: str = "") -> str:
    """Return `text` with what a terminal or a log would act on in Python's escapes."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode()
        for c in text
    )


def _cut(text: str, most: int) -> str:
    """Return `text`, or of one that is too long its beginning and its end.

    What the message is about stands at the beginning, and the cause at the end.
    """
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end]}… ({len(text)} characters) …{text[-end:]}"


class StrandedError(BaseException):
    """Whatever this process did now, it would do to somebody else.

    So it is no Exception: nothing catches it to go on, nothing is undone, the call
    ends with Code.INTERNAL.
    """


# What is called, the last one first, with an error after which this process can do
# nothing more: a library may end it (kernel/nft.py). The launcher's first one ends it.
last_words: list[Callable[[CNIError], object]] = []


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
    """Return the error for what the system refused.

    Its code is IO_FAILURE, or TRY_AGAIN_LATER if the next call may succeed.
    """
    code = Code.TRY_AGAIN_LATER if is_shortage(error) else Code.IO_FAILURE
    return CNIError(code, f"{doing}: {cause_of(error)}")


def refused(doing: str, error: OSError, details: str = "") -> CNIError:
    """Return the error for what the kernel refused, in its own words."""
    return CNIError(Code.INTERNAL, f"{doing}: {error.strerror}", details)


def invalid_key(key: str, cause: str) -> CNIError:
    """Return the error for what a key of the configuration says."""
    return CNIError(Code.INVALID_CONFIG, f"parse {key}: {cause}")
