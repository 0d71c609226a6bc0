# SPDX-License-Identifier: Apache-2.0
"""The plugin's own streams: a request in, one JSON document out (section 2)."""

from __future__ import annotations

import os
import select

from cni_common.spec import json_text
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any, BinaryIO, TextIO

STDIN_MAX = 1 << 20  # bytes


def read_all(stdin: BinaryIO) -> bytes:
    """Return stdin up to its end.

    A descriptor that somebody set to be non-blocking is waited for. Raises
    Code.IO_FAILURE for what is unreadable or too large.
    """
    text = b""
    try:
        while len(text) <= STDIN_MAX:
            part = stdin.read(STDIN_MAX + 1 - len(text))
            if part is None:
                select.select([stdin], [], [])
            elif part:
                text += part
            else:
                break
    except (OSError, ValueError) as error:
        raise _failure("read stdin", error) from error
    return _bounded(text)


def read_at_once(stdin: BinaryIO) -> tuple[bytes, bool]:
    """Return what is there without waiting, and whether it reaches to the end.

    An open, silent pipe gives nothing, and so does what cannot be read.
    """
    try:
        descriptor = stdin.fileno()
    except (OSError, ValueError):
        return read_all(stdin), True  # in memory, where nothing has to be waited for
    text = b""
    try:
        while len(text) <= STDIN_MAX and select.select([descriptor], [], [], 0)[0]:
            part = os.read(descriptor, STDIN_MAX + 1 - len(text))
            if not part:
                return text, True
            text += part
    except (OSError, ValueError):
        return b"", False
    return _bounded(text), False


def write_document(stdout: BinaryIO, document: dict[str, Any]) -> None:
    """Print `document`.

    Raises Code.IO_FAILURE when stdout does not take and keep all of it.
    """
    rest = memoryview(json_text.dumps_indented(document).encode())
    try:
        while rest:
            taken = stdout.write(rest)
            if taken is None:  # a full pipe that somebody set to be non-blocking
                select.select([], [stdout], [])
            rest = rest[taken or 0 :]
        stdout.flush()
        _close_copy(stdout)
    except (OSError, ValueError) as error:
        raise _failure("write stdout", error) from error


def _close_copy(stdout: BinaryIO) -> None:
    """Raise OSError if a file system has yet to refuse what was written (close(2)).

    It says so to whoever closes the file, and we are about to end.
    """
    try:
        copy = os.dup(stdout.fileno())
    except (OSError, ValueError):
        return  # in memory
    os.close(copy)


def tell(stderr: TextIO, text: str) -> None:
    """Write `text` for the administrator, unless nobody is there to read it."""
    try:
        stderr.write(text)
        stderr.flush()
    except (AttributeError, OSError, ValueError):
        return


def _bounded(text: bytes) -> bytes:
    if len(text) > STDIN_MAX:
        msg = f"read stdin: larger than {STDIN_MAX} bytes"
        raise CNIError(Code.IO_FAILURE, msg)
    return text


def _failure(doing: str, error: OSError | ValueError) -> CNIError:
    cause = error.strerror if isinstance(error, OSError) else None
    return CNIError(Code.IO_FAILURE, f"{doing}: {(cause or str(error)).lower()}")
