# SPDX-License-Identifier: Apache-2.0
"""No call waits for a server that is gone or silent, and none is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab import PATIENCE
from packed_file import call
from warm_server import (
    BRIDGE,
    LOOPBACK,
    end,
    environment,
    in_its_delegate,
    served,
    wait_until,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab import Host

CONF = json.dumps(LOOPBACK).encode()


def delegating(directory: Path, packed: Path, script: str) -> bytes:
    """Make an IPAM plugin of a shell script; return a configuration that uses it."""
    (directory / "theirs").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "theirs").chmod(0o755)
    for name in ("bridge", "loopback"):
        (directory / name).symlink_to(packed)
    return json.dumps({**BRIDGE, "ipam": {"type": "theirs"}}).encode()


def surroundings(directory: Path) -> dict[str, str]:
    """Return the variables of a DEL that finds its delegate in `directory`."""
    path = os.environ["PATH"]
    return {**environment(""), "CNI_PATH": str(directory), "PATH": path}


def signalled(pids: Sequence[int], number: int) -> None:
    """Send a signal to each process."""
    for pid in pids:
        os.kill(pid, number)


def test_server_killed_under_a_call_keeps_nobody_waiting(
    host: Host, packed: Path, tmp_path: Path
) -> None:
    """Later calls start cold, a new server starts, and the call goes on to its end."""
    del host
    conf = delegating(
        tmp_path, packed, f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    )
    env = {"CNI_COMMAND": "DEL", **surroundings(tmp_path)}
    with served(packed) as server:
        blocked = subprocess.Popen([tmp_path / "bridge"], env=env, stdin=-1, stdout=-1)
        assert blocked.stdin is not None
        blocked.stdin.write(conf)
        blocked.stdin.close()
        blocked.stdin = None
        try:
            child = in_its_delegate(server)
            end(server, signal.SIGKILL)
            for _ in range(3):
                ended = call(tmp_path / "loopback", "DEL", CONF, **environment(""))
                assert (ended.returncode, ended.stdout) == (0, b"")
            with served(packed) as another:
                wait_until(lambda: waiting(another))
                assert Path(f"/proc/{child}").exists()
        finally:
            (tmp_path / "go").touch()
            output = blocked.communicate(timeout=20 * PATIENCE)[0]
        assert (output, blocked.returncode) == (b"", 0)


def test_delegate_that_calls_us_does_not_wait_for_its_own_caller(
    host: Host, packed: Path, tmp_path: Path
) -> None:
    """Where the server dies under a foreign delegate, what that calls starts cold."""
    del host
    with served(packed) as server:
        script = (
            f"kill -9 {server.pid}; sleep 0.2\n"
            f"echo '{CONF.decode()}' | {tmp_path}/loopback && echo >>{tmp_path}/done"
        )
        conf = delegating(tmp_path, packed, script)
        ended = call(tmp_path / "bridge", "DEL", conf, **surroundings(tmp_path))
        assert ended.returncode == 0, ended
        assert (tmp_path / "done").read_text() == "\n"


def test_silent_server_is_passed_over_and_does_nothing_afterwards(
    warm: subprocess.Popen[bytes], packed: Path, tmp_path: Path
) -> None:
    """While server and children are stopped calls start cold, with pipes that end.

    What they left in its queue is no call any more when it wakes up.
    """
    conf = delegating(tmp_path, packed, f"echo done >>{tmp_path}/done")
    env = surroundings(tmp_path)
    wait_until(lambda: len(waiting(warm)) == 4)
    crew = [warm.pid, *waiting(warm)]
    signalled(crew, signal.SIGSTOP)
    try:
        for _ in range(3):
            ended = call(tmp_path / "bridge", "DEL", conf, **env)
            assert (ended.returncode, ended.stdout) == (0, b"")
        assert (tmp_path / "done").read_text() == "done\n" * 3
    finally:
        signalled(crew, signal.SIGCONT)
    time.sleep(0.5)
    assert call(tmp_path / "bridge", "DEL", conf, **env).returncode == 0
    assert (tmp_path / "done").read_text() == "done\n" * 4
    assert warm.poll() is None


def test_child_that_somebody_ended_costs_no_call(
    warm: subprocess.Popen[bytes], plugin_dir: Path
) -> None:
    """A waiting child that is killed is made up for, and no call goes to it."""
    for _ in range(3):
        wait_until(lambda: len(waiting(warm)) >= 2)
        gone = set(waiting(warm))
        signalled(gone, signal.SIGKILL)
        ended = call(plugin_dir / "loopback", "DEL", CONF, **environment(""))
        assert (ended.returncode, ended.stdout) == (0, b"")
        wait_until(lambda gone=gone: not gone & set(waiting(warm)))
    assert warm.poll() is None


def test_only_the_server_listens(
    warm: subprocess.Popen[bytes], plugin_dir: Path
) -> None:
    """No child, whether it has served or not, has a listening socket open."""
    listening = sockets(warm.pid, "00010000")
    assert len(listening) == 2  # for calls, and for who asks for metrics
    assert call(plugin_dir / "loopback", "DEL", CONF, **environment("")).returncode == 0
    wait_until(lambda: len(waiting(warm)) >= 2)
    for child in waiting(warm):
        assert not sockets(child, "00010000")


def sockets(pid: int, flags: str) -> set[str]:
    """Return the inodes of a process's unix sockets that have `flags`."""
    lines = Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]
    having = {line.split()[6] for line in lines if line.split()[3] == flags}
    opened = Path(f"/proc/{pid}/fd").iterdir()
    return having & {os.readlink(each)[len("socket:[") : -1] for each in opened}
