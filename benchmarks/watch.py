# SPDX-License-Identifier: Apache-2.0
"""The program that makes the calls and measures them, in Go around libcni."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("watch")
GOPATH = Path("/usr/share/gocode")


class Answer(NamedTuple):
    """What the program says about one call: seconds, seconds, KiB, an amount."""

    wall: float
    cpu: float
    rss: int
    amount: float
    output: str
    error: str


def build(directory: Path) -> Path:
    """Return the program, built from source into `directory`."""
    program = directory / "watch"
    env = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(GOPATH),
        "GOCACHE": str(directory / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    subprocess.run(["go", "build", "-o", program, "."], cwd=SOURCE, env=env, check=True)
    return program
