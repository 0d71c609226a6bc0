# SPDX-License-Identifier: Apache-2.0
"""A server ends by itself, when it is of no use, and no call is lost by it."""

from __future__ import annotations

import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING

import pytest
from lab import PATIENCE
from packed_file import call
from warm_server import (
    BRIDGE,
    LOOPBACK,
    SOCKET,
    activated,
    answered,
    environment,
    in_its_delegate,
    served,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab import Host

LOST = json.dumps(LOOPBACK).encode()
OTHER = "0" * 32


@pytest.fixture
def installed(host: Host, packed: Path, tmp_path: Path) -> Path:
    """A packed file of this test alone."""
    del host
    (tmp_path / "bin").mkdir()
    return Path(shutil.copy(packed, tmp_path / "bin/cnipy"))


@pytest.fixture
def server(installed: Path) -> Iterator[Popen[bytes]]:
    """The server of the installed file, started by hand."""
    with served(installed) as started:
        yield started


def other_build(installed: Path) -> None:
    """Install a packed file that states another build, in one step as install does."""
    content = installed.read_bytes()
    build = content.partition(b"# cnipy, build ")[2][:32]
    new = installed.with_name("new")
    new.write_bytes(content.replace(build, OTHER.encode()))
    new.chmod(0o755)
    new.rename(installed)


def same_build(installed: Path) -> None:
    """Install the same once more."""
    new = Path(shutil.copy(installed, installed.with_name("new")))
    new.rename(installed)


def nothing(installed: Path) -> None:
    """Have no packed file any more."""
    installed.unlink()


def test_server_that_nobody_calls_ends(installed: Path, plugin_dir: Path) -> None:
    """With --idle it ends with status 0 and takes its socket away."""
    with served(installed, SOCKET, "--idle", "0.5") as server:
        assert server.wait(30 * PATIENCE) == 0
        assert server.stderr is not None
        assert b"no call for 0.5 seconds" in server.stderr.read()
        assert not Path(SOCKET).exists()
        ended = call(plugin_dir / "loopback", "DEL", LOST, **environment(""))
        assert (ended.returncode, ended.stdout) == (0, b"")


@pytest.mark.parametrize("now", [other_build, nothing])
def test_server_whose_build_is_not_installed_ends(
    server: Popen[bytes], installed: Path, plugin_dir: Path, now: Callable[..., None]
) -> None:
    """It ends when a call of another build tells it that something has changed."""
    now(installed)
    assert answered(OTHER, plugin_dir) == b""
    assert server.wait(20 * PATIENCE) == 0
    assert not Path(SOCKET).exists()


def test_server_whose_build_was_installed_again_stays(
    server: Popen[bytes], installed: Path, plugin_dir: Path, build: str
) -> None:
    """A new file of the same build is the same, and so is a stranger's call."""
    same_build(installed)
    for _ in range(6):
        assert answered(OTHER, plugin_dir) == b""
    assert answered(build, plugin_dir) == b"A"
    assert server.poll() is None


def test_call_under_way_outlives_a_server_that_ends(
    server: Popen[bytes], installed: Path, tmp_path: Path, plugin_dir: Path
) -> None:
    """What was accepted is served to its end, with its answer."""
    wait = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    (tmp_path / "theirs").write_text(f"#!/bin/sh\n{wait}\n")
    (tmp_path / "theirs").chmod(0o755)
    env = {**environment(""), "CNI_PATH": str(tmp_path), "CNI_COMMAND": "DEL"}
    words = [plugin_dir / "bridge"]
    env["PATH"] = os.environ["PATH"]
    blocked = Popen(words, env=env, stdin=PIPE, stdout=PIPE)
    assert blocked.stdin is not None
    blocked.stdin.write(json.dumps({**BRIDGE, "ipam": {"type": "theirs"}}).encode())
    blocked.stdin.close()
    blocked.stdin = None
    in_its_delegate(server)
    other_build(installed)
    assert answered(OTHER, plugin_dir) == b""
    assert server.wait(20 * PATIENCE) == 0
    (tmp_path / "go").touch()
    assert blocked.communicate(timeout=20 * PATIENCE)[0] == b""
    assert blocked.returncode == 0


def test_no_call_is_lost_while_servers_end_and_start(
    host: Host, packed: Path, plugin_dir: Path
) -> None:
    """Of ADDs that come as servers end, each is done, once, by a server or cold."""
    spaces = [host.space() for _ in range(40)]
    conf = json.dumps(BRIDGE).encode()

    def add(number: int) -> str:
        time.sleep(0.01 * (number % 13))  # about as long as a server waits for a call
        env = {**environment(spaces[number], f"c{number}"), "CNI_PATH": str(plugin_dir)}
        ended = call(plugin_dir / "bridge", "ADD", conf, **env)
        assert ended.returncode == 0, ended
        return str(json.loads(ended.stdout)["ips"][0]["address"])

    with activated(packed, "--idle", "0.06") as systemd:
        with ThreadPoolExecutor(2) as pool:
            given = list(pool.map(add, range(40)))
        systemd.terminate()
        assert systemd.stdout is not None
        assert len(systemd.stdout.read().split()) > 1
    assert len(set(given)) == 40
    for space, address in zip(spaces, given, strict=True):
        (link,) = space.ip("addr", "show", "eth0")
        assert address.split("/")[0] in [each["local"] for each in link["addr_info"]]
