# SPDX-License-Identifier: Apache-2.0
"""The caller, the child or the server dies: nothing is left half done in silence."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab import PATIENCE
from packed_file import call
from warm_server import (
    BRIDGE,
    LOOPBACK,
    SOCKET,
    children,
    end,
    environment,
    in_its_delegate,
    served,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Host

_PIDFD_GETFD = 438  # the same on every architecture


def slow_delegate(directory: Path, packed: Path) -> bytes:
    """Make an IPAM plugin that waits, and return a configuration that uses it."""
    (directory / "slow").write_text("#!/bin/sh\nexec sleep 30\n")
    (directory / "slow").chmod(0o755)
    (directory / "bridge").symlink_to(packed)
    return json.dumps({**BRIDGE, "ipam": {"type": "slow"}}).encode()


def started(
    directory: Path, conf: bytes, container: str = "c1"
) -> subprocess.Popen[bytes]:
    """Start a DEL of bridge that hangs in its delegate."""
    env = {**environment("", container), "CNI_PATH": str(directory)}
    caller = subprocess.Popen(
        [directory / "bridge"],
        env={"CNI_COMMAND": "DEL", **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert caller.stdin is not None
    caller.stdin.write(conf)
    caller.stdin.close()
    caller.stdin = None
    return caller


def test_death_of_the_caller_ends_the_call(
    warm: subprocess.Popen[bytes], packed: Path, tmp_path: Path
) -> None:
    """A runtime that kills the plugin has killed the work too."""
    caller = started(tmp_path, slow_delegate(tmp_path, packed))
    child = in_its_delegate(warm)
    caller.kill()
    caller.communicate()
    wait_until(lambda: not Path(f"/proc/{child}").exists())
    assert warm.poll() is None


def test_bytes_on_the_connection_do_not_end_the_call(
    warm: subprocess.Popen[bytes], packed: Path, tmp_path: Path
) -> None:
    """Only the caller's death ends a call, not the arrival of its own request.

    The kernel may tell of the request after the child has read it.
    """
    caller = started(tmp_path, slow_delegate(tmp_path, packed))
    child = in_its_delegate(warm)
    with writing_end(caller.pid) as connection:
        connection.send(b"late")
    time.sleep(0.3)
    assert children(warm) == [child]
    caller.kill()
    caller.communicate()


@contextmanager
def writing_end(pid: int) -> Iterator[socket.socket]:
    """Yield the caller's own socket, taken over from its process (pidfd_getfd(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    (number,) = [
        int(path.name)
        for path in Path(f"/proc/{pid}/fd").iterdir()
        if os.readlink(path).startswith("socket:")
    ]
    pidfd = os.pidfd_open(pid)
    taken = libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
    os.close(pidfd)
    assert taken >= 0, os.strerror(ctypes.get_errno())
    with socket.socket(fileno=taken) as connection:
        yield connection


def test_crash_of_a_call_is_an_error_of_that_call_only(
    warm: subprocess.Popen[bytes], packed: Path, tmp_path: Path
) -> None:
    """A call whose process dies tells so in one document; the server goes on."""
    caller = started(tmp_path, slow_delegate(tmp_path, packed))
    child = in_its_delegate(warm)
    os.kill(child, signal.SIGKILL)
    output = caller.communicate(timeout=10 * PATIENCE)[0]
    assert caller.returncode == 1
    assert json.loads(output)["code"] == 11
    assert warm.poll() is None


def test_dead_server_costs_nothing_but_the_cold_start(
    host: Host, packed: Path, plugin_dir: Path
) -> None:
    """A socket that nobody listens on any more is passed over in silence."""
    del host
    with served(packed) as server:
        end(server, signal.SIGKILL)
        assert Path(SOCKET).is_socket()
        conf = json.dumps(LOOPBACK).encode()
        ended = call(plugin_dir / "loopback", "DEL", conf, **environment(""))
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_server_replaces_a_dead_socket_and_respects_a_living_one(
    warm: subprocess.Popen[bytes], packed: Path
) -> None:
    """`cnipy serve` refuses to take over from a server that listens."""
    assert warm.poll() is None
    ended = subprocess.run(
        [packed, "serve"],
        env={},
        capture_output=True,
        check=False,
        timeout=20 * PATIENCE,
    )
    assert ended.returncode == 1
    assert b"a server is listening there" in ended.stderr
    warm.kill()
    warm.wait()
    with served(packed) as another:
        assert another.poll() is None


def test_server_killed_amid_calls_leaves_none_half_done(
    host: Host, packed: Path, plugin_dir: Path
) -> None:
    """Of 50 ADDs during which the server dies, each is complete, warm or cold."""
    spaces = [host.space() for _ in range(50)]
    conf = json.dumps(BRIDGE).encode()

    def add(number: int) -> subprocess.CompletedProcess[bytes]:
        env = {**environment(spaces[number], f"c{number}"), "CNI_PATH": str(plugin_dir)}
        return call(plugin_dir / "bridge", "ADD", conf, **env)

    with served(packed) as server, ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(add, number) for number in range(50)]
        wait_until(lambda: sum(answer.done() for answer in answers) >= 8, 60)
        server.kill()
        ended = [answer.result(timeout=120 * PATIENCE) for answer in answers]
    held = set()
    for space, answer in zip(spaces, ended, strict=True):
        assert answer.returncode == 0, answer
        address = json.loads(answer.stdout)["ips"][0]["address"].split("/")[0]
        (link,) = space.ip("addr", "show", "eth0")
        assert address in [a["local"] for a in link["addr_info"]]
        held.add(address)
    assert len(held) == 50
