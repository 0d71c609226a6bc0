# SPDX-License-Identifier: Apache-2.0
"""`python -m kernels 6.1 COMMAND...`: a command on Debian's kernel of that series."""

from __future__ import annotations

import sys
from pathlib import Path

from kernels import image, machine


def main(series: str, *command: str) -> int:
    """Run `command` here, but on another kernel; returns its exit status."""
    try:
        booted = image.ready(series)
    except image.UnavailableError as error:
        sys.stderr.write(f"kernel {series}: {error}\n")
        return 1
    return machine.run(booted, command, Path.cwd())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
