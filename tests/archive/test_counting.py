# SPDX-License-Identifier: Apache-2.0
"""Calls of the packed file are counted, cold and warm, and never pay for it."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import run
from measurements import value
from packed_file import call
from warm_server import BRIDGE, LOOPBACK, end, environment, was_served

from cni_common.frame import counters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Host

CONF = json.dumps(LOOPBACK).encode()
AT_ONCE = 50
FILE = Path(counters.DIRECTORY) / "loopback.GC"


@pytest.fixture(autouse=True)
def _nothing_counted(host: Host) -> None:
    """Begin with no numbers, in a network namespace of one's own."""
    del host
    shutil.rmtree(counters.DIRECTORY, ignore_errors=True)


def collect(plugin_dir: Path) -> None:
    """Call GC of loopback, which must succeed in silence."""
    ended = call(plugin_dir / "loopback", "GC", CONF, CNI_PATH="/nowhere")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b""), ended


def counted(plugin_dir: Path, plugin: str = "loopback", verb: str = "GC") -> float:
    """Return how many calls `cnipy metrics` tells of."""
    text = run(str(plugin_dir / "cnipy"), "metrics")
    return value(text, "cnipy_calls_total", plugin=plugin, verb=verb)


@pytest.fixture
def suite_dir(plugin_dir: Path, packed: Path) -> Path:
    """A plugin directory with the command in it."""
    (plugin_dir / "cnipy").symlink_to(packed)
    return plugin_dir


@pytest.mark.parametrize("mode", ["cold", "warm"])
def test_calls_at_once_are_all_counted(
    request: pytest.FixtureRequest, suite_dir: Path, mode: str
) -> None:
    """Fifty at the same time are fifty; what gets a server ready is none."""
    if mode == "warm":
        request.getfixturevalue("warm")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(collect, [suite_dir] * AT_ONCE))
    if mode == "warm":
        env = {"CNI_PATH": "/nowhere"}
        assert was_served(suite_dir / "loopback", "GC", CONF, env)
        assert counted(suite_dir) == AT_ONCE + 1
    else:
        assert counted(suite_dir) == AT_ONCE


@pytest.mark.parametrize("mode", ["cold", "warm"])
def test_delegate_and_error_are_counted(
    request: pytest.FixtureRequest, suite_dir: Path, host: Host, mode: str
) -> None:
    """host-local in the process of bridge is a call; a refusal has its code."""
    if mode == "warm":
        request.getfixturevalue("warm")
    env = {**environment(host.space()), "CNI_PATH": str(suite_dir)}
    conf = json.dumps(BRIDGE).encode()
    assert call(suite_dir / "bridge", "ADD", conf, **env).returncode == 0
    assert call(suite_dir / "bridge", "ADD", b"{}", **env).returncode == 1
    assert call(suite_dir / "bridge", "DEL", conf, **env).returncode == 0
    text = run(str(suite_dir / "cnipy"), "metrics")
    numbers = {
        (plugin, verb): value(text, "cnipy_calls_total", plugin=plugin, verb=verb)
        for plugin in ("bridge", "host-local")
        for verb in ("ADD", "DEL")
    }
    assert numbers == {
        ("bridge", "ADD"): 2,
        ("bridge", "DEL"): 1,
        ("host-local", "ADD"): 1,
        ("host-local", "DEL"): 1,
    }
    failed = value(text, "cnipy_call_errors_total", plugin="bridge", code="7")
    assert failed == value(text, "cnipy_call_errors_total") == 1


def test_killed_calls_leave_sound_numbers(suite_dir: Path) -> None:
    """Whenever a process dies, those that end are counted, and the file is whole."""
    collect(suite_dir)
    chance = random.Random(7)
    ended = 1
    for _ in range(40):
        process = subprocess.Popen(
            [suite_dir / "loopback"],
            stdin=subprocess.PIPE,
            env={"CNI_COMMAND": "GC", "CNI_PATH": "/nowhere"},
        )
        assert process.stdin
        with suppress(BrokenPipeError):
            process.stdin.write(CONF)
            process.stdin.close()
        time.sleep(chance.uniform(0.01, 0.08))
        process.kill()
        ended += process.wait() == 0
    assert ended <= counted(suite_dir) <= 41
    before = counted(suite_dir)
    collect(suite_dir)
    assert counted(suite_dir) == before + 1


def test_stopped_holder_stops_nobody(suite_dir: Path) -> None:
    """Who is stopped with the numbers in hand costs others a moment, and no call."""
    collect(suite_dir)
    source = "import os,sys,time;os.lockf(os.open(sys.argv[1],2),os.F_LOCK,0);"
    source += "print(1,flush=True);time.sleep(600)"
    words = [sys.executable, "-c", source, str(FILE)]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        assert holder.stdout
        holder.stdout.readline()
        holder.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        collect(suite_dir)
        assert time.monotonic() - began < 30
        with open(FILE, "r+b") as file, pytest.raises(BlockingIOError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert counted(suite_dir) == 1
    finally:
        end(holder, signal.SIGKILL)
    collect(suite_dir)
    assert counted(suite_dir) == 2


@contextmanager
def mounted(how: str) -> Iterator[None]:
    """Have /run/cnipy be a file system that takes nothing."""
    path = os.path.dirname(counters.DIRECTORY)
    os.makedirs(path, exist_ok=True)
    options = "size=4k,nr_inodes=20" if how == "full" else "ro"
    run("mount", "-t", "tmpfs", "-o", options, "none", path)
    try:
        if how == "full":
            Path(path, "filler").write_text("x" * 4096)
        yield
    finally:
        run("umount", "--lazy", path)


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_call_succeeds_where_nothing_can_be_written(suite_dir: Path, how: str) -> None:
    """In silence, and `metrics` tells what there is: no calls."""
    with mounted(how):
        collect(suite_dir)
        collect(suite_dir)
        assert counted(suite_dir) == 0
    collect(suite_dir)
    assert counted(suite_dir) == 1


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\n", b"within:0.01 many\n", b"x" * 9000, b"code:7\n"]
)
def test_damaged_file_begins_anew(suite_dir: Path, content: bytes) -> None:
    """Prometheus knows counters that begin again; nothing else is broken by it."""
    collect(suite_dir)
    FILE.write_bytes(content)
    collect(suite_dir)
    assert counted(suite_dir) == 1
    assert FILE.stat().st_size < 200


def test_link_is_not_followed(suite_dir: Path, tmp_path: Path) -> None:
    """What stands in the place of a file is left as it is."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    FILE.parent.mkdir(parents=True)
    FILE.symlink_to(victim)
    collect(suite_dir)
    assert victim.read_text() == "mine"


def test_numbers_are_roots_alone(suite_dir: Path) -> None:
    """Nobody else reads or writes them, whatever the caller's umask is."""
    before = os.umask(0)
    try:
        collect(suite_dir)
    finally:
        os.umask(before)
    assert FILE.parent.stat().st_mode & 0o7777 == 0o700
    assert FILE.stat().st_mode & 0o7777 == 0o600
    assert FILE.parent.parent.stat().st_mode & 0o7777 == 0o755
