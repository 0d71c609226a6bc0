# SPDX-License-Identifier: Apache-2.0
"""A warm server of the packed file, in the namespaces of the test."""

from __future__ import annotations

import array
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab import PATIENCE

from launcher.client import request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


# What systemd does with the sockets of cnipy-warm.socket (sd_listen_fds(3)): it keeps
# them, and starts the service when one has a caller. Each time it says so.
SYSTEMD = """
import os, select, signal, socket, sys
os.makedirs("/run/cnipy", exist_ok=True)
kept, words = [], sys.argv[2:]
for path in sys.argv[1].split():
    kept.append(socket.socket(socket.AF_UNIX))
    kept[-1].bind(path)
    kept[-1].listen(512)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(server and os.kill(server, 15)))
server = 0
while True:
    select.select(kept, [], [])
    server = os.fork()
    if server == 0:
        copies = [os.dup(each.fileno()) for each in kept]
        for number, each in enumerate(copies, 3):
            os.dup2(each, number)
            os.set_inheritable(number, True)
        env = {"LISTEN_FDS": str(len(kept)), "LISTEN_PID": str(os.getpid())}
        os.execve(words[0], words, env)
    print(server, flush=True)
    os.waitpid(server, 0)
"""


@contextmanager
def activated(
    packed: Path, *options: str, sockets: Sequence[str] = (SOCKET,)
) -> Iterator[subprocess.Popen[bytes]]:
    """Have something like systemd start `cnipy serve` at the first call.

    It prints the process ID of every server that it starts.
    """
    listened = ["/usr/bin/python3", "-c", SYSTEMD, " ".join(sockets)]
    words = [*listened, packed, "serve", *options]
    for each in sockets:
        Path(each).unlink(missing_ok=True)
    systemd = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        wait_until(lambda: Path(sockets[-1]).exists() or systemd.poll() is not None)
        yield systemd
    finally:
        end(systemd)
        for each in sockets:
            Path(each).unlink(missing_ok=True)


@contextmanager
def served(
    packed: Path, path: str = SOCKET, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Have `cnipy serve` listen at `path` inside the block."""
    words = [packed, "serve", "--socket", path, *options]
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
    server.wait(10 * PATIENCE)
    for stream in (server.stdout, server.stderr):
        if stream:
            stream.close()


def children(server: subprocess.Popen[bytes]) -> list[int]:
    """Return the process IDs of calls that are being served."""
    return _called(server, "cnipy-call")


def in_its_delegate(server: subprocess.Popen[bytes]) -> int:
    """Return the one child that serves a call: it has accepted, and waits."""
    wait_until(lambda: children(server))
    (child,) = children(server)
    delegates = Path(f"/proc/{child}/task/{child}/children")
    wait_until(delegates.read_text)
    return child


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
    until = time.monotonic() + seconds * PATIENCE
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def was_served(plugin: Path, verb: str, conf: bytes, env: dict[str, str]) -> bool:
    """Tell whether a server accepted the call, as its caller's system calls show."""
    words = ["strace", "-e", "trace=recvfrom", str(plugin)]
    ended = subprocess.run(
        words,
        input=conf,
        env={"CNI_COMMAND": verb, "PATH": os.environ["PATH"], **env},
        capture_output=True,
        check=True,
    )
    return b'"A", 1' in ended.stderr


def answered(build: str, plugin_dir: Path) -> bytes:
    """Return the first byte of the server's answer to a GC of loopback of a build."""
    env = {k.encode(): v.encode() for k, v in environment("").items()}
    env[b"CNI_COMMAND"] = b"GC"
    text = request(build, [str(plugin_dir / "loopback")], env, 0o022)
    null = os.open("/dev/null", os.O_RDWR)
    here = os.open("/", os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(SOCKET)
        told = connection.recv(1)
        assert (connection.recv(1) if told == b"W" else told) == b"R"
        lifeline, end_of_it = os.pipe()
        rights = array.array("i", [null, null, null, here, lifeline])
        connection.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        first = connection.recv(1)
    for descriptor in (null, here, lifeline, end_of_it):
        os.close(descriptor)
    return first
