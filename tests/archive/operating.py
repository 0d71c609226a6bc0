# SPDX-License-Identifier: Apache-2.0
"""The packed command, as somebody calls it who has a shell on the node."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Operator:
    """Somebody with a shell on the node."""

    def __init__(self, packed: Path, plugins: Path, conf_dir: Path) -> None:
        self.packed = packed
        self.env = {
            "PATH": os.environ["PATH"],
            "CNI_PATH": str(plugins),
            "NETCONFPATH": str(conf_dir),
        }

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [self.packed, *words],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def ok(self, *words: str) -> str:
        """Return what the command prints, which must succeed in silence."""
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def refused(self, *words: str) -> str:
        """Return the one line on stderr of the command, which must fail."""
        done = self(*words)
        lines = done.stderr.count("\n")
        assert (done.returncode, done.stdout, lines) == (1, "", 1), done.stderr
        return done.stderr
