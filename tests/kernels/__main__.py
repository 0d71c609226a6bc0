# SPDX-License-Identifier: Apache-2.0
"""`python -m kernels [--alone] 6.1 COMMAND...`: on Debian's kernel of that series.

--alone: COMMAND has one thing run at a time, and gets one processor.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kernels import image, machine


def main(*words: str) -> int:
    """Run a command here, but on another kernel; returns its exit status."""
    alone = words[0] == "--alone"
    series, *command = words[alone:]
    # A second one that has nothing to do doubles what the machine costs.
    processors = 1 if alone else min(len(os.sched_getaffinity(0)), 4)
    try:
        booted = image.ready(series)
    except image.UnavailableError as error:
        sys.stderr.write(f"kernel {series}: {error}\n")
        return 1
    return machine.run(booted, command, Path.cwd(), processors)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
