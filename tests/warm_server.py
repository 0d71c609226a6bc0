# SPDX-License-Identifier: Apache-2.0
"""A warm server of the packed file, in the namespaces of the test."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Space

SOCKET = "/run/cnipy/warm.sock"
LOOPBACK = {"cniVersion": "1.1.0", "name": "lo", "type": "loopback"}
BRIDGE = {
    "cniVersion": "1.1.0",
    "name": "net",
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/16"}]]},
}


@contextmanager
def served(packed: Path, path: str = SOCKET) -> Iterator[subprocess.Popen[bytes]]:
    """Have `cnipy serve` listen at `path` inside the block."""
    words = [packed, "serve", "--socket", path]
    server = subprocess.Popen(words, env={}, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: Path(path).exists() or server.poll() is not None, 60)
        assert server.poll() is None, server.communicate()[1]
        yield server
    finally:
        end(server)
        Path(path).unlink(missing_ok=True)


def environment(space: Space | str, container: str = "c1") -> dict[str, str]:
    """Return the CNI variables of an attachment."""
    return {
        "CNI_CONTAINERID": container,
        "CNI_NETNS": space if isinstance(space, str) else space.path,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/nowhere",
    }


def end(server: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """Send a signal to the server and wait for its end."""
    if server.poll() is None:
        server.send_signal(number)
    server.wait(10)
    if server.stderr:
        server.stderr.close()


def children(server: subprocess.Popen[bytes]) -> list[int]:
    """Return the process IDs of calls that are being served."""
    return _called(server, "cnipy-call")


def waiting(server: subprocess.Popen[bytes]) -> list[int]:
    """Return the process IDs of children, if all of them wait for a call."""
    return [] if children(server) else _called(server, "cnipy-idle")


def _called(server: subprocess.Popen[bytes], name: str) -> list[int]:
    task = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    pids = [int(pid) for pid in task.read_text().split()]
    return [pid for pid in pids if _name(pid) == name]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def wait_until(holds: object, seconds: float = 10.0) -> None:
    """Return when the function `holds` says so; fail after `seconds`."""
    assert callable(holds)
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
