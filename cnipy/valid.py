# SPDX-License-Identifier: Apache-2.0
"""Which attachments a garbage collection must keep: (container ID, interface name)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnipy.cache import Entry


def living(entries: Iterable[Entry]) -> set[tuple[str, str]]:
    """Return the attachments whose network namespace still exists.

    libcni before 1.2 did not write the namespace down: such an attachment is kept,
    since nobody can tell.
    """
    return {
        entry.key
        for entry in entries
        if not entry.attachment.netns or is_container(entry.attachment.netns)
    }


def named(keys: Iterable[str]) -> set[tuple[str, str]]:
    """Return the attachments written as "CONTAINERID/IFNAME"."""
    found = set()
    for key in keys:
        container_id, _, ifname = key.partition("/")
        if not container_id or not ifname:
            msg = f"parse --keep {key!r}: not of the form CONTAINERID/IFNAME"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg)
        found.add((container_id, ifname))
    return found


def listed_in_file(file: str) -> set[tuple[str, str]]:
    """Return the attachments of a JSON file in the form of cni.dev/valid-attachments.

    Raises Code.IO_FAILURE, Code.DECODE_FAILURE or Code.INVALID_CONFIG; a list of which
    only a part is understood is refused, for collecting with it would detach what
    lives.
    """
    try:
        with open(file, "rb") as opened:
            document = gojson.loads(opened.read(), file)
    except OSError as error:
        msg = f"read {file}: {error.strerror}"
        raise CNIError(Code.IO_FAILURE, msg) from error
    found = set()
    for item in document if isinstance(document, list) else [None]:
        key = (
            (gojson.member(item, "containerID"), gojson.member(item, "ifname"))
            if isinstance(item, dict)
            else ()
        )
        if not key or not all(isinstance(part, str) and part for part in key):
            raise CNIError(Code.INVALID_CONFIG, f"read {file}: not an attachment list")
        found.add((str(key[0]), str(key[1])))
    return found


def is_container(path: str) -> bool:
    """Tell whether `path` is a network namespace, and not the caller's own.

    A file left where a namespace was mounted is none. /proc/PID/ns/net is that of the
    host when the process ID has passed to one of its processes.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return False
    own = os.stat("/proc/self/ns/net")
    return found.st_dev == own.st_dev and found.st_ino != own.st_ino
