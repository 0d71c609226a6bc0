# SPDX-License-Identifier: Apache-2.0
"""Nodes on one machine: network namespaces on a bridge, each with files of its own."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import PATIENCE, Space, lacking, need, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMAND = Path(__file__).parents[3] / "dist/bin/cnipy"
PRIVATE = ("/run", "/var/lib", "/etc/cni", "/etc/cnipy")
ETCD = "192.0.2.1"
# Seconds; agents that ask more often have all of a processor that is ten times slower.
POLL = f"{max(0.2, PATIENCE / 12):.2f}"


def wait_until(holds: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for what is to happen; fail if it does not."""
    until = time.monotonic() + seconds * PATIENCE
    while not holds():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05 * PATIENCE)  # a look starts programs, and agents need the time


def environment() -> dict[str, str]:
    """Return what the command is called with."""
    return {"PATH": os.environ["PATH"], "CNI_PATH": str(COMMAND.parent)}


class Inside(Space):
    """A network namespace of a machine, which the test can be in by its path alone."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self._path = path

    @property
    def path(self) -> str:
        """Where it is for the test."""
        return self._path


class Machine:
    """A network namespace with mounts of its own, held by a process that sleeps."""

    def __init__(self, name: str) -> None:
        self.name = name
        mounts = "".join(
            f"mkdir -p {each} && mount -t tmpfs -o mode=0755 tmpfs {each} && "
            for each in PRIVATE
        )
        script = (
            f"{mounts} mkdir -p /etc/cni/net.d /run/netns && echo && exec sleep inf"
        )
        command = [
            "unshare",
            "-n",
            "-m",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
        ]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        self._holder.stdout.readline()
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        """The process whose namespaces these are."""
        return self._holder.pid

    def words(self, *command: str) -> list[str]:
        """Return the words that run a command inside."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "--", *command]

    def run(self, *command: str, **options: Any) -> str:
        """Run a command inside."""
        return run(*self.words(*command), **options)

    def json(self, *command: str) -> Any:
        """Return what a command inside prints, as values."""
        printed = self.run(*command)
        return json.loads(printed) if printed.strip() else []

    def path(self, path: str) -> Path:
        """Return where a file of the machine is for the test."""
        return Path(f"/proc/{self.pid}/root{path}")

    def space(self, name: str = "") -> Inside:
        """Return the machine's own network namespace, or a named one of it."""
        of = f"/proc/{self.pid}"
        return Inside(name, f"{of}/root/run/netns/{name}" if name else f"{of}/ns/net")

    def reaches(self, address: str, *, by: str = "") -> bool:
        """Tell whether an echo request is answered, from a namespace of it perhaps."""
        inside = ["ip", "netns", "exec", by] if by else []
        command = [
            *inside,
            need("busybox"),
            "ping",
            "-c1",
            f"-W{PATIENCE:.0f}",
            address,
        ]
        ended = subprocess.run(self.words(*command), capture_output=True, check=False)
        return ended.returncode == 0

    def close(self) -> None:
        """End it, what runs in it (a dnsmasq leaves its parent), and what it holds."""
        own = os.readlink(f"/proc/{self.pid}/ns/net")
        for each in ("self", "thread-self", os.getppid()):
            # Of an orphan the parent is init, whose namespace not everybody may see.
            with contextlib.suppress(PermissionError):
                assert own != os.readlink(f"/proc/{each}/ns/net")
        for number in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{number}/ns/net") == own:
                    os.kill(int(number), signal.SIGKILL)
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()


class Node(Machine):
    """A machine with the suite, an underlay address, and perhaps an agent."""

    def __init__(self, name: str, store: str) -> None:
        super().__init__(name)
        self.agent: subprocess.Popen[bytes] | None = None
        conf = f'node = "{name}"\nunderlay = ["eth0"]\n{store}'
        self.path("/etc/cnipy/net.toml").write_text(conf)
        self.log = self.path("/run/agent.log")

    def cnipy(self, *words: str) -> tuple[int, str, str]:
        """Run the command; return its status, stdout and stderr."""
        env = environment()
        ended = subprocess.run(
            self.words(str(COMMAND), *words),
            capture_output=True,
            text=True,
            check=False,
            env=env,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def ok(self, *words: str) -> str:
        """Return what the command prints, which must succeed."""
        status, stdout, stderr = self.cnipy(*words)
        assert status == 0, stdout + stderr
        return stdout

    def told(self, *words: str) -> Any:
        """Return the document of a command that must succeed."""
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words: str) -> str:
        """Return what a command says that must fail, in one line."""
        status, stdout, stderr = self.cnipy(*words)
        assert (status, stdout, stderr.count("\n")) == (1, "", 1), stdout + stderr
        return stderr

    def start(self, poll: str = POLL, env: dict[str, str] | None = None) -> None:
        """Have an agent run, with more in its environment; it answers by now."""
        log = open(self.log, "ab")  # noqa: SIM115 - the process has it
        env = environment() | (env or {})
        words = self.words(str(COMMAND), "net", "agent", "--poll", poll)
        self.agent = subprocess.Popen(words, stdout=log, stderr=log, env=env)
        log.close()
        socket = self.path("/run/cnipy/net.sock")
        wait_until(lambda: socket.exists() or self.agent.poll() is not None)  # type: ignore[union-attr]
        assert self.agent.poll() is None, self.log.read_text()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the agent by a signal."""
        assert self.agent is not None
        with contextlib.suppress(ProcessLookupError):
            self.agent.send_signal(number)
        self.agent.wait(timeout=10 * PATIENCE)
        self.agent = None

    def container(self, network: str, name: str) -> str:
        """Attach a container, a namespace `name`; return its first address."""
        return self.attached(network, name)[0]

    def attached(self, network: str, name: str, *wishes: str) -> list[str]:
        """Attach a container, a namespace `name`, with what is asked for; return its
        addresses.
        """
        self.run("ip", "netns", "add", name)
        result = json.loads(self.ok("add", network, name, "--name", name, *wishes))
        return [each["address"].partition("/")[0] for each in result["ips"]]

    def routes(self, version: int = 4) -> dict[str, str]:
        """Return the routes of the main table by destination, none of them twice."""
        shown = self.run("ip", f"-{version}", "route", "show").splitlines()
        lines = [line for line in shown if not line.startswith("fe80")]
        found = {}
        for line in lines:
            words = line.split()
            found[words[words[0] == "unreachable"]] = line
        assert len(found) == len(lines), lines
        return found

    def log_text(self) -> str:
        """Return what the agent has told so far."""
        return self.log.read_text() if self.log.exists() else ""

    def close(self) -> None:
        """End agent and machine."""
        if self.agent is not None:
            self.stop(signal.SIGKILL)
        super().close()


class Lan:
    """A bridge in a namespace of its own, on which nodes and an etcd are."""

    def __init__(self) -> None:
        self.switch = Machine("switch")
        self.switch.run("ip", "link", "add", "br0", "type", "bridge")
        self.switch.run("ip", "link", "set", "br0", "up")
        self.machines: list[Machine] = [self.switch]
        self.members = 0
        self._etcds: dict[int, subprocess.Popen[bytes]] = {}
        self._store = ""
        self._server: Machine | None = None

    def plug(self, machine: Machine, number: int) -> None:
        """Give a machine its link, with the addresses of a number."""
        port = f"p{number}"
        self.switch.run(
            *("ip", "link", "add", port, "master", "br0", "up", "type", "veth"),
            *("peer", "name", "eth0", "netns", str(machine.pid)),
        )
        address, ipv6 = f"192.0.2.{number}/24", f"2001:db8::{number}/64"
        machine.run("ip", "addr", "add", address, "dev", "eth0")
        machine.run("ip", "addr", "add", ipv6, "dev", "eth0", "nodad")
        machine.run("ip", "link", "set", "eth0", "up")

    def with_etcd(self, members: int = 1) -> Lan:
        """Have an etcd at ETCD, which is empty; its members differ by their port."""
        server = self._server = Machine("etcd")
        self.machines.append(server)
        self.plug(server, 1)
        self.members = members
        for number in range(members):
            self._run_etcd(number)
        for number in range(members):
            self._wait_etcd(number)
        urls = [f'"{_client_url(number)}"' for number in range(members)]
        self._store = f'[store]\nkind = "etcd"\nendpoints = [{", ".join(urls)}]\n'
        return self

    def start_etcd(self, number: int = 0) -> None:
        """Have a member run on what it has."""
        self._run_etcd(number)
        self._wait_etcd(number)

    def _run_etcd(self, number: int) -> None:
        assert self._server is not None
        if not (binary := _etcd()):
            lacking("etcd is not installed")
        words = self._server.words(
            binary,
            *("--name", f"m{number}"),
            *("--data-dir", f"{_home(number)}/data", "--log-level", "error"),
            *("--listen-client-urls", _client_url(number)),
            *("--advertise-client-urls", _client_url(number)),
            *("--listen-peer-urls", _peer_url(number)),
            *_cluster(number, self.members),
        )
        self._server.run("mkdir", "-p", _home(number))
        null = subprocess.DEVNULL
        self._etcds[number] = subprocess.Popen(words, stdout=null, stderr=null)

    def _wait_etcd(self, number: int) -> None:
        server = self._server
        assert server is not None
        words = ("curl", "-s", "-m1", f"{_client_url(number)}/health")
        wait_until(lambda: '"true"' in server.run(*words, check=False))

    def stop_etcd(self, number: int = 0, *, lose: bool = False) -> None:
        """End a member as a power cut does; `lose` what it has."""
        assert self._server is not None
        member = self._etcds.pop(number)
        member.kill()
        member.wait()
        if lose:
            self._server.run("rm", "-r", f"{_home(number)}/data")

    def etcd_cpu(self) -> float:
        """Return what all members have had of the processors so far, in seconds."""
        ticks = 0
        for member in self._etcds.values():
            stat = Path(f"/proc/{member.pid}/stat").read_text(encoding="ascii")
            user, system = stat.rpartition(") ")[2].split()[11:13]
            ticks += int(user) + int(system)
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def server(self) -> Machine:
        """The machine that the etcd is on."""
        assert self._server is not None
        return self._server

    def pause_etcd(self, number: int = 0) -> None:
        """Have a member hang: it takes connections, and says nothing."""
        member = self._etcds[number]
        member.send_signal(signal.SIGSTOP)
        # Until all its threads have stopped, one may answer yet.
        os.waitid(os.P_PID, member.pid, os.WSTOPPED)

    def resume_etcd(self, number: int = 0) -> None:
        """Have it go on."""
        self._etcds[number].send_signal(signal.SIGCONT)

    def node(self, number: int, name: str = "") -> Node:
        """Return a new node, which has no agent yet."""
        node = Node(name or f"n{number}", self._store)
        self.machines.append(node)
        self.plug(node, number)
        node.run("ip", "route", "add", "default", "via", f"192.0.2.{ETCD[-1]}")
        return node

    def end(self, node: Node, number: int) -> None:
        """End a node; its number is free then, for its link goes after it."""
        node.close()
        self.machines.remove(node)
        wait_until(lambda: f"p{number}@" not in self.switch.run("ip", "-br", "link"))

    def cut(self, number: int, *, off: bool = True) -> None:
        """Have the link of a number lead nowhere, or again."""
        state = "down" if off else "up"
        self.switch.run("ip", "link", "set", f"p{number}", state)

    def etcdctl(self, *words: str, **options: Any) -> str:
        """Have the etcd's own command do something; return what it prints."""
        assert self._server is not None
        env = {**os.environ, "ETCDCTL_API": "3"}
        endpoint = f"--endpoints={_client_url(0)}"
        return self._server.run("etcdctl", endpoint, *words, env=env, **options)

    def type_at_etcd(self, commands: str) -> None:
        """Have a shell run commands where the etcd's first member has its `data`."""
        assert self._server is not None
        typed = f"set -eu; cd {_home(0)}; export ETCDCTL_ENDPOINTS={_client_url(0)}"
        env = {**os.environ, "ETCDCTL_API": "3"}
        self._server.run("sh", "-c", f"{typed}\n{commands}", env=env)

    def put(self, key: str, value: bytes) -> None:
        """Write a key whatever it has, and whatever that is to be."""
        text = value.decode("utf-8", "surrogateescape")
        self.etcdctl("put", key, input=text, errors="surrogateescape")

    def value(self, key: str) -> bytes:
        """Return what a key has, nothing without it."""
        found = json.loads(self.etcdctl("get", key, "-w", "json")).get("kvs", [])
        return base64.b64decode(found[0]["value"]) if found else b""

    def store(self) -> dict[str, str]:
        """Return what the etcd has below the suite's prefix, by key."""
        answer = json.loads(self.etcdctl("get", "--prefix", "/cnipy/", "-w", "json"))
        found = answer.get("kvs", [])
        return {_text(each["key"]): _text(each["value"]) for each in found}

    def close(self) -> None:
        """End everything."""
        for number in [*self._etcds]:
            self.stop_etcd(number)
        for machine in reversed(self.machines):
            machine.close()


def _etcd() -> str:
    return need("etcd")


def _home(number: int) -> str:
    return f"/run/etcd{number}"


def _client_url(number: int) -> str:
    return f"http://{ETCD}:{2379 + 10 * number}"


def _peer_url(number: int) -> str:
    return f"http://127.0.0.1:{2380 + 10 * number}"


def _cluster(number: int, members: int) -> tuple[str, ...]:
    """Return what a member is told of the others."""
    every = ",".join(f"m{each}={_peer_url(each)}" for each in range(members))
    own = ("--initial-advertise-peer-urls", _peer_url(number))
    return (*own, "--initial-cluster", every)


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="replace")


def kept_of(store: dict[str, str], node: str) -> list[str]:
    """Return the keys that are a node's; what was published of it is history."""
    rooms = ("/blocks/", "/nodes/", "/underlay/")
    return [
        key
        for key, value in store.items()
        if any(room in key for room in rooms) and f'"{node}"' in value
    ]


@contextlib.contextmanager
def lan() -> Iterator[Lan]:
    """Give a network with an etcd, and end it."""
    made = Lan()
    try:
        yield made.with_etcd()
    finally:
        made.close()
