# SPDX-License-Identifier: Apache-2.0
"""A control group that counts the CPU time of all that runs in it.

Only so the warm server's children are counted: nobody waits for them. The measuring
programs' own loop is outside.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
# cgroup-v1 has a hierarchy for it; in cgroup-v2 every group tells its CPU time.
_CLOCKS = ((_ROOT / "cpuacct", "cpuacct.usage"), (_ROOT, "cpu.stat"))
_SECONDS_TO_EMPTY = 5


class ControlGroup:
    """A fresh group; `clock` and `members` are "" where none can be made."""

    def __init__(self) -> None:
        self.clock, self.members = "", ""
        self._path: Path | None = None
        for root, clock in _CLOCKS:
            path = root / f"cnipy-benchmark-{os.getpid()}"
            with suppress(OSError):
                path.mkdir()
                if (path / clock).exists():
                    self._path = path
                    self.clock = str(path / clock)
                    self.members = str(path / "cgroup.procs")
                    return
                path.rmdir()

    def remove(self) -> None:
        """Have no such group; the last of its processes has been ended."""
        deadline = time.monotonic() + _SECONDS_TO_EMPTY
        while self._path is not None:
            try:
                self._path.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                self._path = None
