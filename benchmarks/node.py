# SPDX-License-Identifier: Apache-2.0
"""A node: its own network and mount namespaces, empty /run, and one set of plugins."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from benchmarks import conf
from benchmarks.watch import Answer

if TYPE_CHECKING:
    from benchmarks.control_group import ControlGroup

COLD, WARM, REFERENCE, NETAVARK = "cold", "warm", "reference", "netavark"
SMALL = "warm, small client"
TOP = Path(__file__).parents[1]
NETAVARK_PROGRAM = "/usr/lib/podman/netavark"
_SOCKET = "/run/cnipy/warm.sock"
_SECONDS_TO_LISTEN = 10
_START = """\
mkdir -p /var/lib/cni && mount -t tmpfs tmpfs /var/lib/cni &&
mount -t tmpfs tmpfs /run && mkdir -p /run/netns /run/lock && ip link set lo up || exit
[ -z "$1" ] || echo 0 >"$1"
shift
exec "$@"
"""
_JOIN = '[ -z "$1" ] || echo 0 >"$1"\nshift\nexec "$@"\n'


class CallError(Exception):
    """A call that should be measured failed, or a tool did."""


class Place(NamedTuple):
    """A container's place on a node: ID, network namespace, address, host port."""

    container: str
    netns: str
    address: str
    port: int


class Node:
    """`who` tells which plugins; a warm one has a server. Use it by `with`."""

    def __init__(
        self, who: str, directory: Path, watch: Path, group: ControlGroup
    ) -> None:
        self.who, self.directory = who, directory
        self._watch, self._group = watch, group
        self.server: subprocess.Popen[bytes] | None = None
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        words = ["unshare", "-n", "-m", "--propagation", "private"]
        words += ["/bin/sh", "-c", _START, "sh", self._group.members]
        words += [str(self._watch), self._group.clock]
        self._program = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.execute(["true"])
        self.list = self.write("/run/bench.conflist", json.dumps(conf.chain()))
        if self.who in {WARM, SMALL}:
            self._serve()
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.terminate()
            child.wait()
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait()

    def _within(self) -> list[str]:
        return ["nsenter", "-t", str(self._program.pid), "-n", "-m", "--"]

    def run(self, *command: str, text: str | None = None) -> str:
        """Return what a tool of the system prints on this node."""
        env = {**os.environ, "PYTHONPATH": str(TOP)}
        ended = subprocess.run(
            [*self._within(), *command],
            input=text,
            capture_output=True,
            text=True,
            env=env,
            check=False,
        )
        if ended.returncode:
            raise CallError(f"{' '.join(command)}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    def start(self, *command: str, counted: bool = False) -> subprocess.Popen[bytes]:
        """Run a command until the node ends; its CPU time is `counted` or not."""
        members = self._group.members if counted else ""
        words = [*self._within(), "/bin/sh", "-c", _JOIN, "sh", members, *command]
        self._children.append(subprocess.Popen(words))
        return self._children[-1]

    def write(self, path: str, content: str) -> str:
        """Return the path of a file that has `content` now."""
        self.run("/bin/sh", "-c", 'cat >"$1"', "sh", path, text=content)
        return path

    def spaces(self, count: int) -> list[str]:
        """Return the paths of `count` new network namespaces, for containers."""
        first = len(self.run("ip", "netns", "list").splitlines())
        names = [f"n{first + number}" for number in range(count)]
        commands = "".join(f"netns add {name}\n" for name in names)
        self.run("ip", "-batch", "-", text=commands)
        return [f"/run/netns/{name}" for name in names]

    def _serve(self) -> None:
        """Have a warm server; `server` stays None where it does not come up."""
        server = self.start(str(self.directory / "cnipy"), "serve", counted=True)
        deadline = time.monotonic() + _SECONDS_TO_LISTEN
        while server.poll() is None and time.monotonic() < deadline:
            if os.path.exists(f"/proc/{server.pid}/root{_SOCKET}"):
                self.server = server
                return
            time.sleep(0.02)

    def ask(self, operation: str, *, may_fail: bool = False, **asked: Any) -> Answer:
        """Return the answer of the measuring program.

        Raises CallError for a call that failed, unless it `may_fail`.
        """
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        print(
            json.dumps({"Operation": operation, **asked}),
            file=self._program.stdin,
            flush=True,
        )
        line = self._program.stdout.readline()
        if not line:
            raise CallError(f"{self.who} {operation}: the measuring program ended")
        answer = Answer(**json.loads(line))
        if answer.error and not may_fail:
            raise CallError(f"{self.who} {operation}: {answer.error}")
        return answer

    def execute(
        self,
        command: list[str],
        text: str = "",
        env: dict[str, str] | None = None,
        *,
        may_fail: bool = False,
    ) -> Answer:
        """Run a program with `env` alone, and measure it; errors as `ask`."""
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})}
        words = [f"{name}={value}" for name, value in variables.items()]
        asked = {"Command": command, "Stdin": text, "Env": words}
        return self.ask("exec", may_fail=may_fail, **asked)
