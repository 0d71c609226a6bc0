# SPDX-License-Identifier: Apache-2.0
"""Calling a packed file as a runtime does: as a process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab import PATIENCE, lacking

TOP = Path(__file__).parents[2]
ROOT = "/var/cache/cnipy"
INTERPRETER = "/usr/bin/python3"
# A first start: nothing extracted anywhere, and nobody else's files are touched.
FRESH = "mount -t tmpfs -o mode=0755 tmpfs /var/cache; mount -t tmpfs tmpfs /run; "

# Writes a sound bundle whose code says whose it is; the path is the last argument.
THEIRS = f"""{INTERPRETER} -c '
import marshal, sys
from _imp import source_hash
from importlib.util import MAGIC_NUMBER
part = marshal.dumps((compile("print(1 and chr(42))", "theirs", "exec"), {{}}))
size = len(part).to_bytes(4, "big")
open(sys.argv[1], "wb").write(MAGIC_NUMBER + source_hash(0, part) + size + part)'"""


def call(
    executable: Path, command: str, stdin: bytes = b"", **env: str
) -> subprocess.CompletedProcess[bytes]:
    """Execute a plugin with nothing in its environment but what is given."""
    return subprocess.run(
        [executable],
        input=stdin,
        env={"CNI_COMMAND": command, **env},
        capture_output=True,
        check=False,
        timeout=60 * PATIENCE,
    )


def privately(script: str, *arguments: object) -> str:
    """Return what a shell script prints in a mount namespace of its own."""
    if os.geteuid() != 0:
        lacking("root is needed for a mount namespace")
    words = [str(argument) for argument in arguments]
    ended = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-euc", script, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=600 * PATIENCE,  # where a build waits for others'
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
