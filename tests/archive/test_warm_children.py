# SPDX-License-Identifier: Apache-2.0
"""A child of the warm server serves many calls, and takes nothing along."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from packed_file import call
from warm_server import BRIDGE, LOOPBACK, environment, wait_until, waiting

if TYPE_CHECKING:
    from lab import Host, Space

Server = subprocess.Popen[bytes]


def delete(plugin_dir: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    """DEL of loopback, which nothing can make fail."""
    conf = json.dumps(LOOPBACK).encode()
    return call(plugin_dir / "loopback", "DEL", conf, **environment(""), **env)


def ready(server: Server, number: int = 4) -> set[int]:
    """Return the children once `number` of them wait, and no other is there."""
    wait_until(lambda: len(waiting(server)) == number)
    return set(waiting(server))


def test_calls_one_after_another_need_no_fork(warm: Server, plugin_dir: Path) -> None:
    """After 40 calls the same children wait as before."""
    before = ready(warm)
    for _ in range(40):
        assert delete(plugin_dir).returncode == 0
    assert ready(warm) == before


def test_child_ends_after_its_share_of_calls(warm: Server, plugin_dir: Path) -> None:
    """What a call may hoard goes with the child, at the latest after 100 calls."""
    before = ready(warm)
    for _ in range(4 * 100 + 8):
        assert delete(plugin_dir).returncode == 0
    wait_until(lambda: len(waiting(warm)) >= 2)
    assert not set(waiting(warm)) & before


def test_child_that_failed_ends(warm: Server, plugin_dir: Path) -> None:
    """What a failed call may have left in its process goes with the process."""
    before = ready(warm)
    conf = json.dumps(LOOPBACK).encode()
    ended = call(plugin_dir / "loopback", "ADD", conf, **environment("/nowhere"))
    assert ended.returncode == 1
    wait_until(lambda: len(before & set(waiting(warm))) == 3)


def test_waiting_child_holds_nothing_of_the_caller(
    warm: Server, plugin_dir: Path, tmp_path: Path, host: Host
) -> None:
    """No pipe, directory or network namespace of a call outlives it."""
    env = {**environment(host.space()), "CNI_PATH": str(plugin_dir)}
    conf = json.dumps(BRIDGE).encode()
    before = ready(warm)
    held = {child: descriptors(child) for child in before}
    ours = os.readlink("/proc/self/ns/net")
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for verb in ("ADD", "CHECK", "DEL") * 4:
            added = call(plugin_dir / "bridge", verb, conf, **env)
            assert added.returncode == 0, added
            if verb == "ADD":
                result = json.loads(added.stdout)
                conf = json.dumps({**BRIDGE, "prevResult": result}).encode()
    finally:
        os.chdir(here)
    for child in ready(warm) & before:
        assert os.readlink(f"/proc/{child}/cwd") == "/"
        assert os.readlink(f"/proc/{child}/ns/net") == ours
        assert descriptors(child) == {**held[child], **dict.fromkeys("012", "null")}
    assert ready(warm) & before


def descriptors(child: int) -> dict[str, str]:
    """Return what the descriptors of a process are, those of /dev/null as "null"."""
    found = {}
    for path in Path(f"/proc/{child}/fd").iterdir():
        target = os.readlink(path)
        found[path.name] = "null" if target == "/dev/null" else target
    return found


def test_next_call_does_not_see_the_last_ones_environment(
    warm: Server, packed: Path, tmp_path: Path
) -> None:
    """A delegate sees the variables of its own call and no other's."""
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\necho $MARK >>{tmp_path}/seen\n")
    spy.chmod(0o755)
    (tmp_path / "bridge").symlink_to(packed)
    ready(warm)
    conf = json.dumps({**BRIDGE, "ipam": {"type": "spy"}}).encode()
    env = {**environment(""), "CNI_PATH": str(tmp_path), "PATH": "/bin"}
    for marks in ({"MARK": "first"}, {}) * 6:
        ended = call(tmp_path / "bridge", "DEL", conf, **env, **marks)
        assert ended.returncode == 0, ended
    assert (tmp_path / "seen").read_text() == "first\n\n" * 6


def test_caller_that_goes_early_does_not_end_the_next_call(
    warm: Server, plugin_dir: Path
) -> None:
    """A hang-up ends the call of that connection, never another one's."""
    for _ in range(20):
        assert delete(plugin_dir).returncode == 0
        impatient = subprocess.Popen(
            [plugin_dir / "loopback"],
            env={"CNI_COMMAND": "DEL", **environment("")},
            stdin=subprocess.PIPE,
        )
        impatient.send_signal(signal.SIGKILL)
        impatient.communicate()
    assert warm.poll() is None


def test_rush_is_served_and_then_over(
    warm: Server, plugin_dir: Path, host: Host
) -> None:
    """Calls at once get a child each; afterwards not many more than four are left."""
    spaces = [host.space() for _ in range(40)]
    conf = json.dumps(BRIDGE).encode()

    def add(numbered: tuple[int, Space]) -> int:
        number, space = numbered
        env = {**environment(space, f"c{number}"), "CNI_PATH": str(plugin_dir)}
        return call(plugin_dir / "bridge", "ADD", conf, **env).returncode

    ready(warm)
    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(add, enumerate(spaces))) == {0}
    wait_until(lambda: 2 <= len(waiting(warm)) <= 8)


def test_server_holds_no_library_that_no_call_needs(warm: Server) -> None:
    """OpenSSL, which hashlib brings, would be a seventh of the server's memory."""
    libraries = Path(f"/proc/{warm.pid}/maps").read_text()
    assert "libnftables" in libraries
    assert "libcrypto" not in libraries
