# SPDX-License-Identifier: Apache-2.0
"""An etcd of one member on tmpfs, and what it takes of the machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cnipy.net.store import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_LATEST = 60  # seconds until it answers
_TICK = os.sysconf("SC_CLK_TCK")


class Etcd:
    """One that runs; `settings` are those of a store in it."""

    def __init__(self, directory: Path) -> None:
        client, peer = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
        self.settings = Settings.parse({"kind": "etcd", "endpoints": [client]})
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("etcd", "--data-dir", str(directory / "data")),
                    *("--listen-client-urls", client, "--listen-peer-urls", peer),
                    *("--advertise-client-urls", client),
                    *("--initial-advertise-peer-urls", peer),
                    *("--initial-cluster", f"default={peer}"),
                    *("--logger", "zap", "--log-level", "warn"),
                ],
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + _LATEST
        while time.monotonic() < until:
            with suppress(OSError), urllib.request.urlopen(f"{client}/health"):  # noqa: S310 - of this machine
                return
            time.sleep(0.05)
        raise SystemExit("etcd does not answer")

    def cpu(self) -> float:
        """Return the seconds of CPU that it took since its start."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory(self) -> float:
        """Return its resident memory in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        (line,) = (each for each in status.splitlines() if each.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def end(self) -> None:
        """Have it gone."""
        self._process.kill()
        self._process.wait()


@contextmanager
def running() -> Iterator[Etcd]:
    """Give an etcd, and have nothing of it afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="cnipy-etcd-", dir="/dev/shm"))
    try:
        etcd = Etcd(directory)
        try:
            yield etcd
        finally:
            etcd.end()
    finally:
        shutil.rmtree(directory)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
