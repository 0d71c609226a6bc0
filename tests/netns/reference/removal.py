# SPDX-License-Identifier: Apache-2.0
"""Removal of what the reference left, by several processes at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TOP = Path(__file__).parents[3]
PROGRAM = """
import sys
from cni_common.reference import hostports, masquerading, spoofing
from cni_common.naming import Attachment
attachment = Attachment(sys.argv[1], sys.argv[2], "eth0")
spoofing.delete(attachment)
print("ready", flush=True)
sys.stdin.readline()
hostports.delete(attachment)
masquerading.delete(attachment)
"""


def detach_at_once(network: str, container_ids: Sequence[str]) -> None:
    """Have one process for each container; all begin when all are ready."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, network, container_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=TOP,
        )
        for container_id in container_ids
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()
    ends = [process.communicate() for process in started]
    assert [error for _, error in ends if error] == []
