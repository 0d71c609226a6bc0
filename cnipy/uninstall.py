# SPDX-License-Identifier: Apache-2.0
"""`cnipy uninstall`: the plugin directory is as it was before ./build.sh install.

The command itself goes last, so that a killed call is simply repeated.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from cnipy import units
from cnipy.packed import (
    COMMAND,
    build_of,
    build_of_tree,
    is_ours,
    is_unfinished,
    roots_of,
    running_from,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

REFERENCE = ".reference"
_PATIENCE = 20.0  # seconds that calls under way have to end


@dataclass(frozen=True)
class Plan:
    """What is to be done in a plugin directory, looked at before any of it is."""

    directory: str
    restored: tuple[str, ...]  # names whose file of others comes back
    removed: tuple[str, ...]  # names of ours that nobody had before
    roots: tuple[str, ...]
    builds: frozenset[str]


def uninstall(
    directory: str, unit_dir: str, names: Collection[str], tell: Callable[[str], object]
) -> None:
    """Remove what is ours in `directory`, and put back what install moved aside.

    Raises Code.INVALID_CONFIG, with nothing changed, when a file of others has the
    place of one that was kept; Code.TRY_AGAIN_LATER when calls are still under way, and
    all but the extracted tree and the command are gone.
    """
    found = plan(directory, [*sorted(names), COMMAND])
    units.remove(unit_dir, directory, tell)
    _remove_unfinished(directory, names)
    _put_back(found, names)
    for root in found.roots:
        _remove_trees(root, found.builds, tell)
    _put_back(found, [COMMAND])
    for what, listed in (("put back", found.restored), ("removed", found.removed)):
        if listed:
            tell(f"{what} in {directory}: {' '.join(listed)}")
    if not found.restored and not found.removed:
        tell(f"nothing of ours is in {directory}")


def plan(directory: str, names: Sequence[str]) -> Plan:
    """Return what uninstalling changes.

    Raises Code.INVALID_CONFIG where it cannot be decided.
    """
    restored, removed, refused = [], [], []
    roots, builds = [], set()
    for name in names:
        path = os.path.join(directory, name)
        ours = is_ours(path)
        if build := build_of(path):
            builds.add(build)
            roots += roots_of(path)
        kept = os.path.lexists(path + REFERENCE)
        if kept and not ours and os.path.lexists(path):
            refused.append(name)
        elif kept:
            restored.append(name)
        elif ours:
            removed.append(name)
    if refused:
        msg = f"uninstall {directory}: not ours, and not what was kept beside: "
        hint = f"remove either NAME or NAME{REFERENCE} of each, then again"
        raise CNIError(Code.INVALID_CONFIG, msg + " ".join(refused), hint)
    return Plan(
        directory,
        tuple(restored),
        tuple(removed),
        tuple(dict.fromkeys(roots)),
        frozenset(builds),
    )


def _put_back(found: Plan, names: Collection[str]) -> None:
    """Put back each of `names`, in one step, so that none is ever missing."""
    for name in names:
        path = os.path.join(found.directory, name)
        if name in found.restored:
            os.rename(path + REFERENCE, path)
        if name in found.removed:
            _unlink(path)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _remove_unfinished(directory: str, names: Collection[str]) -> None:
    """Remove what a killed install left under a name of its own."""
    pattern = re.compile(rf"\.({'|'.join(map(re.escape, [*names, COMMAND]))})\.\d+")
    with suppress(FileNotFoundError):
        for name in os.listdir(directory):
            if pattern.fullmatch(name):
                _unlink(os.path.join(directory, name))


def _remove_trees(
    root: str, builds: Collection[str], tell: Callable[[str], object]
) -> None:
    """Remove the extracted trees in `root` that nobody runs from.

    Calls of one of `builds` have a while to end: they may import more of it.
    """
    try:
        names = os.listdir(root)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in filter(build_of_tree, names):
        tree = os.path.join(root, name)
        expected = build_of_tree(name) in builds
        until = time.monotonic() + (_PATIENCE if expected else 0)
        while running := sorted(running_from(tree)):
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        if running and expected:
            msg = f"remove {tree}: processes {' '.join(map(str, running))} run from it"
            hint = "a warm server that was started by hand is ended by hand"
            raise CNIError(Code.TRY_AGAIN_LATER, msg, f"{hint}; then again")
        if running:
            tell(f"left {tree}: processes run from it")
        elif not os.path.islink(tree):
            shutil.rmtree(tree)
    for name in filter(is_unfinished, names):
        path = os.path.join(root, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            _unlink(path)
    with suppress(OSError):  # others' trees, or the socket of their warm server
        os.rmdir(root)
