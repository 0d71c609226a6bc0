# SPDX-License-Identifier: Apache-2.0
"""Marks: empty files that say who needs something; an empty directory says nobody.

Counting is thereby one rmdir(2). They are made in one step, so that a process that is
killed leaves no half of one. Whoever calls holds the lock of what they are about.
"""

from __future__ import annotations

import os

from cni_common import state


def add(directory: str, name: str) -> None:
    """Have the mark `name` below `directory`, a path under the state's root."""
    path = os.path.join(state.ensure_directory(directory), name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(path, flags, 0o600))


def delete(directory: str, name: str) -> bool:
    """Have no mark `name`; tell whether it was there and was the last one."""
    path = state.path(directory)
    if not os.path.lexists(os.path.join(path, name)):
        return False
    state.delete(path, name)
    return not os.path.isdir(path)


def any_in(directory: str) -> bool:
    """Tell whether somebody has a mark in `directory`."""
    return os.path.isdir(state.path(directory))


def any_of(directory: str) -> str:
    """Return some mark in `directory`, the first that is found; "" without any."""
    try:
        with os.scandir(state.path(directory)) as entries:
            return next((entry.name for entry in entries if entry.name[0] != "."), "")
    except FileNotFoundError:
        return ""
