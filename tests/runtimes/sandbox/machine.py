# SPDX-License-Identifier: Apache-2.0
"""The sandbox: commands run inside it, files lie in its private /run."""

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab import PATIENCE

from tests.runtimes.sandbox import cgroups

PID1 = Path(__file__).with_name("pid1.py")
COMMAND = Path(__file__).parents[3] / "dist/bin/cnipy"
# Empty at the start, whatever the machine has there.
PRIVATE = ("/etc/cni", "/var/lib/cni", "/var/lib/containers", "/var/tmp")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
UPLINK = """
link set lo up
link add eth0 type veth peer name eth0 netns client
addr add 10.99.0.1/24 dev eth0
addr add fd99::1/64 dev eth0 nodad
link set eth0 up
"""
CLIENT = """
link set lo up
addr add 10.99.0.2/24 dev eth0
addr add fd99::2/64 dev eth0 nodad
link set eth0 up
route add default via 10.99.0.1
route add default via fd99::1
"""

Completed = subprocess.CompletedProcess[str]


@functools.cache
def extracted() -> Path:
    """Return a directory in which all sandboxes find the plugins unpacked.

    The first call of a plugin unpacks it; a hundred sandboxes need not repeat that.
    """
    directory = tempfile.mkdtemp(prefix="cnipy-test-")
    atexit.register(shutil.rmtree, directory)
    path = Path(directory)
    path.chmod(0o755)
    return path


class Sandbox:
    """A network, mount and process namespace with an outside client.

    The host side has 10.99.0.1 and fd99::1 on `eth0`; the network namespace
    `client` beyond it has 10.99.0.2 and fd99::2. Under CNI_TESTS_WARM=1 a warm server
    serves the plugins' calls, unless `warm` says that they are not of this suite.
    """

    def __init__(self, *, warm: bool = True) -> None:
        self.cgroup = f"cnipy-test-{os.getpid()}-{time.monotonic_ns()}"
        self._started: list[subprocess.Popen[bytes]] = []
        words = ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc"]
        words += ["--propagation", "private", sys.executable, "-I", "-S", str(PID1)]
        self._shell = subprocess.Popen(
            [*words, str(extracted()), *PRIVATE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._shell.stdout is not None
        if self._shell.stdout.readline() != "ready\n":
            self.close()
            message = "start sandbox: its first process ended early"
            raise RuntimeError(message)
        self.root = Path(f"/proc/{self._shell.pid}/root")
        self.run("ip", "netns", "add", "client")
        self.run("ip", "-batch", "-", stdin=UPLINK)
        self.run("ip", "-n", "client", "-batch", "-", stdin=CLIENT)
        if warm and os.environ.get("CNI_TESTS_WARM") == "1":
            self._serve_warm()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _serve_warm(self) -> None:
        """Have the plugins' calls served by a warm server of this sandbox."""
        self.start("warm", str(COMMAND), "serve")
        socket = self.path("/run/cnipy/warm.sock")
        wait_for(socket.is_socket, "the warm server")

    def close(self) -> None:
        """End every process of the sandbox and remove what lies outside it."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait(timeout=30 * PATIENCE)
        assert self._shell.stdout is not None
        self._shell.stdout.close()
        for started in self._started:
            started.wait(timeout=30 * PATIENCE)
        cgroups.remove(self.cgroup)

    def _enter(self, netns: str | None) -> list[str]:
        """Words that put a command into the namespaces of the sandbox."""
        proc = f"/proc/{self._shell.pid}/ns"
        words = ["nsenter", f"--mount={proc}/mnt", f"--net={proc}/net"]
        words += [f"--pid={proc}/pid_for_children", "--"]
        return words + (["ip", "netns", "exec", netns] if netns else [])

    def run(
        self,
        *argv: str,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        netns: str | None = None,
        check: bool = True,
        seconds: float = 120,
    ) -> Completed:
        """Run a command inside, in a named network namespace if one is given."""
        done = subprocess.run(
            [*self._enter(netns), *argv],
            input=stdin,
            env={**ENVIRONMENT, **(env or {})},
            capture_output=True,
            text=True,
            timeout=seconds * PATIENCE,
            check=False,
        )
        if check and done.returncode:
            message = f"{' '.join(argv)}: exit status {done.returncode}\n"
            raise AssertionError(message + done.stdout + done.stderr)
        return done

    def start(
        self,
        name: str,
        *argv: str,
        env: Mapping[str, str] | None = None,
        netns: str | None = None,
    ) -> None:
        """Start a process that stays; its output goes to /run/lab/<name>.log."""
        line = f'echo $$ >/run/lab/{name}.pid; exec "$@" >/run/lab/{name}.log 2>&1'
        self._started.append(
            subprocess.Popen(
                [*self._enter(netns), "setsid", "sh", "-c", line, "sh", *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**ENVIRONMENT, **(env or {})},
            )
        )

    def stop(self, name: str) -> None:
        """Kill what `start` began under this name."""
        self.run("sh", "-c", f"kill -9 $(cat /run/lab/{name}.pid)")

    def path(self, inside: str) -> Path:
        """Path by which the test reaches a file of the sandbox."""
        return self.root / inside.lstrip("/")

    def write(self, inside: str, text: str) -> str:
        """Write a file inside the sandbox, directories included."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return inside

    def json(self, *argv: str, netns: str | None = None) -> Any:
        """Return the JSON that a command such as `ip -j` prints."""
        return json.loads(self.run(*argv, netns=netns).stdout or "[]")


def wait_for(true: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Wait until the condition holds; fail naming it when time is over."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not true():
        if time.monotonic() > deadline:
            message = f"waited {seconds:g} s for {what}"
            raise AssertionError(message)
        time.sleep(0.02)
