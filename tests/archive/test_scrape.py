# SPDX-License-Identifier: Apache-2.0
"""Who asks the warm server by HTTP gets what `cnipy metrics` prints."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from lab import PATIENCE
from measurements import value
from packed_file import call
from warm_server import LOOPBACK, activated, end, served, wait_until, waiting

if TYPE_CHECKING:
    import subprocess

    from lab import Host

ASKED = "/run/cnipy/metrics.sock"
CONF = json.dumps(LOOPBACK).encode()


class Connection(http.client.HTTPConnection):
    """HTTP by a socket of the file system, as `curl --unix-socket` speaks it."""

    def connect(self) -> None:
        """Connect to the server's socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30 * PATIENCE)
        self.sock.connect(ASKED)


def asked(path: str = "/metrics", method: str = "GET") -> tuple[int, str, str]:
    """Return status, type and text of an answer."""
    with closing(Connection("localhost")) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, answer.getheader("Content-Type", ""), text


def test_answer_is_what_the_command_prints(
    warm: subprocess.Popen[bytes], plugin_dir: Path
) -> None:
    """Calls are counted there, by Prometheus' own parser."""
    before = asked()[2]
    for _ in range(3):
        ended = call(plugin_dir / "loopback", "GC", CONF, CNI_PATH="/nowhere")
        assert ended.returncode == 0
    status, kind, text = asked()
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    labels = {"plugin": "loopback", "verb": "GC"}
    new = value(text, "cnipy_calls_total", **labels)
    assert new - value(before, "cnipy_calls_total", **labels) == 3
    assert warm.poll() is None


def test_socket_is_roots_alone(warm: subprocess.Popen[bytes]) -> None:
    """Its mode lets nobody else connect."""
    found = os.stat(ASKED)
    assert stat.S_ISSOCK(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, 0)
    assert warm.poll() is None


def test_other_questions_are_refused(warm: subprocess.Popen[bytes]) -> None:
    """Another path, another method, garbage; the server goes on."""
    assert asked("/etc/passwd")[0] == 404
    assert asked(method="POST")[0] == 501
    assert asked(method="HEAD")[::2] == (200, "")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(ASKED)
        connection.sendall(b"\x00\xff" * 1000 + b"\r\n\r\n")
        assert b"400" in connection.recv(4096)
    assert asked()[0] == 200
    assert warm.poll() is None


def test_who_says_nothing_keeps_nobody_waiting(
    warm: subprocess.Popen[bytes], plugin_dir: Path
) -> None:
    """Twenty that connect and are silent, and calls and answers go on."""
    silent = []
    for _ in range(20):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(ASKED)
        silent.append(connection)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: asked()[0], range(8)))
    assert told == [200] * 8
    ended = call(plugin_dir / "loopback", "GC", CONF, CNI_PATH="/nowhere")
    assert ended.returncode == 0
    for connection in silent:
        connection.close()
    wait_until(lambda: waiting(warm))


def test_server_holds_nothing_of_an_answer(warm: subprocess.Popen[bytes]) -> None:
    """Neither descriptors nor what speaks HTTP stay in the server."""
    wait_until(lambda: waiting(warm))
    asked()
    place = f"/proc/{warm.pid}"
    before = len(os.listdir(f"{place}/fd"))
    for _ in range(5):
        asked()
    assert len(os.listdir(f"{place}/fd")) == before
    assert "libssl" not in Path(f"{place}/maps").read_text()


def test_end_of_the_server_is_the_end_of_its_children(host: Host, packed: Path) -> None:
    """A process that answers holds nothing that children wait at."""
    del host
    with served(packed) as server:
        wait_until(lambda: waiting(server))
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(ASKED)
            pids = waiting(server)
            end(server)
            wait_until(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids))


def test_second_server_leaves_the_place(host: Host, packed: Path) -> None:
    """One for a trial serves calls, and does not take the other's questions."""
    del host
    with served(packed) as first:
        bound = os.stat(ASKED).st_ino
        with served(packed, "/run/cnipy/trial.sock") as second:
            assert os.stat(ASKED).st_ino == bound
            assert second.poll() is None
        assert asked()[0] == 200
        assert first.poll() is None


def test_server_that_systemd_starts_answers(
    host: Host, packed: Path, plugin_dir: Path
) -> None:
    """It takes the place itself where systemd has passed the socket of calls alone."""
    del host
    Path(ASKED).unlink(missing_ok=True)  # which a server that was ended has left
    with activated(packed) as systemd:
        call(plugin_dir / "loopback", "GC", CONF, CNI_PATH="/nowhere")
        wait_until(lambda: os.path.exists(ASKED))
        assert asked()[0] == 200
        assert systemd.poll() is None


def test_question_starts_the_server(host: Host, packed: Path) -> None:
    """Systemd has both sockets of the unit: who asks first is answered."""
    del host
    both = ("/run/cnipy/warm.sock", ASKED)
    with activated(packed, sockets=both) as systemd:
        assert asked()[0] == 200
        assert systemd.poll() is None
    unit = Path(__file__).parents[2] / "launcher/systemd/cnipy-warm.socket"
    lines = unit.read_text().splitlines()
    assert [line for line in lines if line.startswith("ListenStream=")] == [
        f"ListenStream={each}" for each in both
    ]
