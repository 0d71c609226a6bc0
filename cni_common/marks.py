# SPDX-License-Identifier: Apache-2.0
"""Marks: empty files that say who needs something; without any nobody does.

They are made in one step, so that a process that is killed leaves no half of one.
Their names are digests, ports or "change", so that what else lies in a directory is not
taken for one. Whoever calls holds the lock of what they are about.
"""

from __future__ import annotations

import os

from cni_common import state
from cni_common.spec.characters import HEX, LOWER, consists_of, is_port
from cni_common.spec.errors import of_os

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Collection


def add(directory: str, name: str) -> None:
    """Have the mark `name` below `directory`, a path under the state's root."""
    path = os.path.join(state.ensure_directory(directory), name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        os.close(os.open(path, flags, 0o600))
    except OSError as error:
        raise of_os(f"write {path}", error) from error


def delete(directory: str, name: str) -> bool:
    """Have no mark `name`; tell whether it was there and was the last one."""
    path = state.path(directory)
    if not os.path.lexists(os.path.join(path, name)):
        return False
    state.delete(path, name)
    return not any_in(directory)


def any_in(directory: str, but: Collection[str] = ()) -> bool:
    """Tell whether anybody has a mark in `directory`, those named in `but` apart."""
    return bool(any_of(directory, but))


def any_of(directory: str, but: Collection[str] = ()) -> str:
    """Return some mark in `directory`, the first that is found; "" without any."""
    return state.any_name(
        state.path(directory),
        lambda name: name not in but and _is_mark(name),
    )


def _is_mark(name: str) -> bool:
    """Tell whether it is the digest of an attachment, a port, or a change's mark."""
    kind, _, number = name.partition("-")
    if number:
        return consists_of(kind, LOWER) and is_port(number)
    return name == "change" or (len(name) == 64 and consists_of(name, HEX))  # noqa: PLR2004 - SHA-256
