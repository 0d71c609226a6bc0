# SPDX-License-Identifier: Apache-2.0
"""Waits until the machine has nothing else to do.

The kernel deletes network namespaces in the background, and meanwhile holds the lock
that every ADD and DEL needs. What a step leaves must not be in the next one's figures.
"""

from __future__ import annotations

import subprocess
import time

_INTERVAL = 0.3
_BUSY, _SLOW = 0.15, 0.05
_IDLE_FIELDS = slice(3, 5)  # idle and iowait, see proc_stat(5)


def wait(seconds: float) -> bool:
    """Return True when the machine is quiet, False when it is not in that time.

    Quiet is: CPUs 85 % idle, and the kernel's lock on links soon had.
    """
    deadline = time.monotonic() + seconds
    while True:
        before, taken = _cpu(), _lock_taken()
        time.sleep(_INTERVAL)
        if _busy(before, _cpu()) < _BUSY and taken < _SLOW:
            return True
        if time.monotonic() > deadline:
            return False


def _busy(before: list[int], after: list[int]) -> float:
    """Return the share of time between two readings in which CPUs worked."""
    passed = [new - old for old, new in zip(before, after, strict=True)]
    return 1 - sum(passed[_IDLE_FIELDS]) / max(1, sum(passed))


def _cpu() -> list[int]:
    with open("/proc/stat", encoding="ascii") as file:
        return [int(word) for word in file.readline().split()[1:9]]


def _lock_taken() -> float:
    """Return how long something on a link takes that takes a millisecond or two."""
    started = time.monotonic()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return time.monotonic() - started
