# SPDX-License-Identifier: Apache-2.0
"""Packed files, known by their first bytes: which build, which root, whose."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = "cnipy"
# The launcher says where its trees lie: first where it was built for, then this.
SECOND_ROOT = "/run/cnipy"
# A tree is named after its build, and the Python that compiled it (once not).
_TREE = re.compile(r"([0-9a-f]{32})(\.[a-z0-9-]+)?")
_UNFINISHED_TREE = re.compile(rf"\.{_TREE.pattern}\.(lock|tree\..*)")
_FIRST_BYTES = 4096
_ROOT = re.compile(rb"^root='([^']+)'$", re.MULTILINE)
_PYTHON = re.compile(rb"^python='([^']+)'$", re.MULTILINE)
_BUILD = re.compile(rb"^# cnipy, build ([0-9a-f]{32})$", re.MULTILINE)


def build_of(path: str) -> str:
    """Return the build of the packed file that `path` leads to, empty for another."""
    found = _BUILD.search(_head(path))
    return found[1].decode() if found else ""


def roots_of(path: str) -> list[str]:
    """Return where the packed file at `path` extracts itself."""
    return [os.fsdecode(found) for found in _ROOT.findall(_head(path))] + [SECOND_ROOT]


def python_of(path: str) -> str:
    """Return the interpreter that the packed file at `path` is for, or nothing."""
    head = _head(path)
    found = _PYTHON.search(head) if _BUILD.search(head) else None
    return os.fsdecode(found[1]) if found else ""


def is_ours(path: str) -> bool:
    """Tell whether install made `path`: a packed file, or a link to one beside it.

    The link counts by its text, whatever has been written through it since.
    """
    with suppress(OSError):
        if os.readlink(path) == COMMAND:
            return os.path.basename(path) != COMMAND
    return bool(build_of(path))


def build_of_tree(name: str) -> str:
    """Return the build whose tree has this name, empty for something else."""
    found = _TREE.fullmatch(name)
    return found[1] if found else ""


def is_unfinished(name: str) -> bool:
    """Tell whether an extraction has this name before it is a tree, or locks it."""
    return bool(_UNFINISHED_TREE.fullmatch(name))


def running_from(tree: str) -> Iterator[int]:
    """Yield the processes, this one apart, that have modules of an extracted tree.

    In a mount namespace of its own, a process may mean another tree by this path.
    """
    build = os.fsencode(build_of_tree(os.path.basename(tree)))
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        with suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            arguments = file.read()  # none yet in the midst of execve(2)
            named = not arguments or build in arguments.split(b"\0")
            if named and _has_open(name, os.path.join(tree, "bundle")):
                yield int(name)


def _has_open(process: str, path: str) -> bool:
    descriptors = f"/proc/{process}/fd"
    for number in os.listdir(descriptors):
        with suppress(OSError):
            if os.path.samefile(os.path.join(descriptors, number), path):
                return True
    return False


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read(_FIRST_BYTES)
    except OSError:
        pass
    return b""
