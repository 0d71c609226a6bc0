# SPDX-License-Identifier: Apache-2.0
"""Who listens: a stranger is told nothing, and nobody waits for one that sleeps."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING

from lab import PATIENCE, run
from packed_file import call
from warm_server import (
    LOOPBACK,
    SOCKET,
    activated,
    end,
    environment,
    wait_until,
    was_served,
)

if TYPE_CHECKING:
    from lab import Host

CONF = json.dumps(LOOPBACK).encode()
# Says that it is ready, and prints all that it is given then.
STRANGER = f"""
import os, socket
os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.bind({SOCKET!r}); s.listen(8)
connection, _ = s.accept()
try:
    connection.send(b"R")
    print(socket.recv_fds(connection, 65536, 8)[:2])
except OSError:  # the caller has hung up without a word
    print((b"", []))
"""
# Is process 1, as systemd is, while the service has not come up; calls the plugin, and
# prints all that it was given.
STARTING = f"""
import os, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX)
s.bind({SOCKET!r}); s.listen(8)
assert os.getpid() == 1
words = ["strace", "-e", "trace=poll", sys.argv[1]]
env = {{**os.environ, "CNI_COMMAND": "GC", "CNI_PATH": "/"}}
subprocess.run(words, input=sys.argv[2].encode(), env=env, check=True)
print(socket.recv_fds(s.accept()[0], 65536, 8)[:2])
"""


def test_listener_of_another_user_is_told_nothing(host: Host, plugin_dir: Path) -> None:
    """Whoever is not root cannot have a call, even where it can have the socket."""
    del host
    os.makedirs("/run/cnipy", exist_ok=True)
    os.chmod("/run/cnipy", 0o777)
    stranger = Popen(["/usr/bin/python3", "-c", STRANGER], stdout=PIPE)
    try:
        wait_until(Path(SOCKET).exists)
        for _ in range(2):
            ended = call(plugin_dir / "loopback", "DEL", CONF, **environment(""))
            assert (ended.returncode, ended.stdout) == (0, b"")
            if stranger.poll() is not None:
                break
        assert stranger.communicate(timeout=20 * PATIENCE)[0] == b"(b'', [])\n"
    finally:
        end(stranger)
        Path(SOCKET).unlink()
        os.chmod("/run/cnipy", 0o755)


def test_call_hardly_waits_where_systemd_is_starting_a_server(
    host: Host, plugin_dir: Path
) -> None:
    """It is done cold, and has handed nothing over."""
    del host
    os.makedirs("/run/cnipy", exist_ok=True)
    words = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", 'exec "$@" 2>&1']
    words += ["sh", "/usr/bin/python3", "-c", STARTING, str(plugin_dir / "loopback")]
    try:
        said = run(*words, CONF.decode())
    finally:
        Path(SOCKET).unlink()
    *_, waited = re.findall(r"POLLIN.*, (\d+)\) += 0 \(Timeout\)", said)
    assert int(waited) <= 20
    assert said.endswith("(b'', [])\n")


def test_systemd_hands_the_socket_over(
    host: Host, packed: Path, plugin_dir: Path
) -> None:
    """The server serves the socket that it was given, and is seen as who listens."""
    del host
    with activated(packed) as systemd:
        assert listener() == systemd.pid
        loopback = plugin_dir / "loopback"
        # A call that comes while it starts may be done without it.
        wait_until(lambda: was_served(loopback, "DEL", CONF, environment("")), 60)
        assert systemd.stdout is not None
        assert listener() == int(systemd.stdout.readline())


def listener() -> int:
    """Return the process that listens, as one who connects is told."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(SOCKET)
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", raw)[0])
