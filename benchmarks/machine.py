# SPDX-License-Identifier: Apache-2.0
"""What the figures depend on: the machine's size, kernel and the peers' versions."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess

_GIB = 1 << 30
# Debian's packages.
_PEERS = (
    "containernetworking-plugins",
    "netavark",
    "iptables",
    "nftables",
    "golang-github-appc-cni-dev",
    "valgrind",
)


def description(command: str, seconds: float, load: float) -> dict[str, str]:
    """Return what heads the results; nothing in it tells which machine it was.

    `seconds` is how long the run took, `load` the load average before it.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    described = {
        "command": command,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "duration": f"{seconds / 60:.1f} minutes",
        "kernel": platform.release(),
        "CPUs": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "load": f"{load:.1f} when it began",
        "Python": platform.python_version(),
    }
    return described | {package: _version(package) for package in _PEERS}


def _version(package: str) -> str:
    words = ["dpkg-query", "--show", "--showformat=${Version}", package]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    return ended.stdout if ended.returncode == 0 else "of unknown version"
