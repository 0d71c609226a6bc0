# SPDX-License-Identifier: Apache-2.0
"""How many instructions a call takes, counted by valgrind's callgrind.

Counted is what runs outside of the kernel in every process of the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TOTALS = "totals: "
# The count is written down and begins anew: callgrind forgets that of a process that
# becomes another program, and gives that of one that forks to its child, too.
_WRITTEN_BEFORE = ("execve", "fork", "vfork")


def words(room: Path) -> list[str]:
    """Return what stands before a command that is counted, with the counts in `room`.

    `room` is an empty directory.
    """
    return [
        "valgrind",
        "--quiet",
        "--vgdb=no",
        "--tool=callgrind",
        "--trace-children=yes",
        *(f"--dump-before={function}" for function in _WRITTEN_BEFORE),
        f"--callgrind-out-file={room}/%p",
    ]


def taken(room: Path) -> int:
    """Return the instructions of all processes, and have `room` empty again.

    Raises ValueError when nothing was counted.
    """
    files = list(room.iterdir())
    if not files:
        raise ValueError(f"callgrind: nothing was counted in {room}")
    total = 0
    for file in files:
        total += _total(file.read_text(encoding="utf-8", errors="replace"))
        file.unlink()
    return total


def _total(text: str) -> int:
    """Return the total that a file of callgrind's states; raises ValueError."""
    for line in text.splitlines():
        if line.startswith(_TOTALS):
            return int(line.removeprefix(_TOTALS))
    raise ValueError("callgrind: a file without totals")
