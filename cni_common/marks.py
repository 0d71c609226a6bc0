# SPDX-License-Identifier: Apache-2.0
"""Marks: empty files that say by their names that something is so.

A change is unfinished, a table's records are whole, a link is excluded. Who uses what
is counted by `attachment.shared`. A mark is made in one step, so that a process that is
killed leaves no half of one. Whoever calls holds the lock of what it is about.
"""

from __future__ import annotations

import os

from cni_common import state
from cni_common.spec.errors import of_os


def add(directory: str, name: str) -> None:
    """Ensure the mark `name` in `directory`, a path below the state's root."""
    path = os.path.join(state.ensure_directory(directory), name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        os.close(os.open(path, flags, 0o600))
    except OSError as error:
        raise of_os(f"write {path}", error) from error


def delete(directory: str, name: str) -> None:
    """Remove the mark `name`, if there is one."""
    if exists(directory, name):
        state.delete(state.path(directory), name)


def exists(directory: str, name: str) -> bool:
    """Tell whether there is the mark `name`."""
    return os.path.lexists(os.path.join(state.path(directory), name))
