# SPDX-License-Identifier: Apache-2.0
"""Control groups are not namespaced by the sandbox, so they are removed by name."""

import time
from pathlib import Path

from lab import PATIENCE

ROOT = Path("/sys/fs/cgroup")


def named(name: str) -> list[Path]:
    """Return the control groups of this name in every hierarchy."""
    found = [ROOT / name, *(d / name for d in ROOT.iterdir() if d.is_dir())]
    return [path for path in found if path.is_dir()]


def remove(name: str, seconds: float = 5) -> None:
    """No control group of this name exists; its processes have ended already."""
    deadline = time.monotonic() + seconds * PATIENCE
    while groups := named(name):
        for group in groups:
            remove_tree(group)
        if time.monotonic() > deadline:
            message = f"remove control groups {name}: still busy"
            raise TimeoutError(message)
        time.sleep(0.01)


def remove_tree(group: Path) -> None:
    """Remove a group and those below; busy ones stay for the next attempt."""
    for path in sorted(group.rglob("*"), reverse=True):
        if path.is_dir():
            rmdir(path)
    rmdir(group)


def rmdir(group: Path) -> None:
    """Remove one group; the kernel empties it shortly after its last process."""
    try:
        group.rmdir()
    except (FileNotFoundError, OSError):
        return
