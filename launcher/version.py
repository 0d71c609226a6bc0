# SPDX-License-Identifier: Apache-2.0
"""VERSION and a call without a verb, with what is compiled into the interpreter.

Podman asks every plugin for its version before each command, twice as often as it
ADDs. Input that is not of libcni's plain form is left to skel.
"""

import posix
import select

from cni_common.spec.versions import NEWEST, SUPPORTED, introduction
from plugins import REGISTER, release_of, versions_of

_PIECE = 1 << 16  # bytes, what a pipe holds
_TEXT_MAX = 1 << 20  # bytes; what is longer is refused by skel
# Seconds. A runtime starts us first and writes then, and a busy node may let it wait.
_PATIENCE = 0.1


def answer(path: str) -> bytes | None:
    """Print the answer to VERSION and return None, or the input that was not plain.

    An open pipe that stays silent gets our newest version after a moment.
    """
    name = path.rpartition("/")[2]
    if name not in REGISTER:
        return b""
    text, stated = _there_soon()
    if stated is None:
        return text
    listed = ", ".join(f'"{version}"' for version in versions_of(name))
    document = f'{{"cniVersion": "{stated}", "supportedVersions": [{listed}]}}\n'
    try:
        posix.write(1, document.encode())
    except OSError:
        return text
    return None


def introduce(path: str) -> bool:
    """Let the plugin introduce itself on stderr; false when there is none such."""
    name = path.rpartition("/")[2]
    if name not in REGISTER:
        return False
    text = introduction(name, release_of(name), versions_of(name))
    try:
        posix.write(2, text.encode())
    except OSError:
        return True  # nobody is there to read it
    return True


def _there_soon() -> tuple[bytes, str | None]:
    """Return the input, which may come in pieces, and the version that it states."""
    text = b""
    try:
        while len(text) <= _TEXT_MAX and select.select([0], [], [], _PATIENCE)[0]:
            part = posix.read(0, _PIECE)
            text += part
            if not part or _stated(text):
                break
    except OSError:
        pass
    return text, _stated(text) if text else NEWEST


def _stated(text: bytes) -> str | None:
    """Return the version in `{"cniVersion":"1.0.0"}`, or None for any other input."""
    bare = text.translate(None, b" \t\r\n")
    before, quoted, after = bare[:15], bare[15:-2], bare[-2:]
    if before != b'{"cniVersion":"' or after != b'"}':
        return None
    version = quoted.decode("ascii", "replace")
    return version if version in SUPPORTED else None
