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
        (entry.attachment.container_id, entry.attachment.ifname)
        for entry in entries
        if not entry.attachment.netns or _is_netns(entry.attachment.netns)
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

    Raises code 5, 6 or 7; a list of which only a part is understood is refused, for
    collecting with it would detach what lives.
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


def _is_netns(path: str) -> bool:
    """A file left where a namespace was mounted is no namespace."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return found.st_dev == os.stat("/proc/self/ns/net").st_dev
