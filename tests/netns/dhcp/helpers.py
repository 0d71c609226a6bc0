# SPDX-License-Identifier: Apache-2.0
"""A network with a DHCP server of the system, and a keeper as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import PATIENCE, Host, Space, need, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOP = Path(__file__).parents[3]
SOCKET = "/run/cni/dhcp.sock"
APART = "/run/dhcp.sock"  # where nobody looks for what plugins leave
CONF: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "lan",
    "type": "bridge",
    "ipam": {"type": "dhcp"},
}
_ITSELF = (
    "from launcher.main import run; run(['cnipy', 'dhcp', *__import__('sys').argv[1:]])"
)


def conf(**keys: Any) -> dict[str, Any]:
    """Return a configuration with more keys of `ipam`."""
    return {**CONF, "ipam": {"type": "dhcp", **keys}}


def until(holds: Callable[[], object], seconds: float = 10.0) -> Any:
    """Return what is true in the end; fail if that takes too long."""
    end = time.monotonic() + seconds * PATIENCE
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return found


@dataclass
class Keeper:
    """The keeper of leases, which can be killed and started again."""

    words: Path
    arguments: tuple[str, ...] = ()
    command: tuple[str, ...] = (sys.executable, "-c", _ITSELF)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when somebody listens."""
        with self.words.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*self.command, *self.arguments], cwd=TOP, stderr=stderr, stdout=stderr
            )
        path = self.arguments[1] if self.arguments else SOCKET
        until(lambda: listens(path) or self.process.poll() is not None)  # type: ignore[union-attr]
        assert self.process.poll() is None, self.said()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, and return its status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(10 * PATIENCE)

    def kill(self) -> None:
        """End it as no process expects it."""
        self.stop(signal.SIGKILL)

    @contextmanager
    def called_in_vain(self) -> Iterator[None]:
        """Have who calls it in the block find it, and have it die with the call."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        yield
        until(lambda: waits(SOCKET))
        self.kill()

    def said(self) -> str:
        """Return what it told the administrator."""
        return self.words.read_text()


def listens(path: str) -> bool:
    """Tell whether somebody accepts connections at a socket."""
    import socket  # noqa: PLC0415 - beside the name of a path

    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def waits(path: str) -> bool:
    """Tell whether somebody has called at a socket and was not let in so far."""
    (told,) = run("ss", "-Hxl", "src", f"unix:{path}").splitlines()
    return int(told.split()[2]) > 0


@dataclass
class Lan:
    """A bridge of the host, and a server in a namespace that is a port of it."""

    host: Host
    server: Space
    directory: Path
    subnet: str = "10.77.0"
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, host: Host, directory: Path) -> Lan:
        """Return one without a server at work."""
        run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        run("ip", "link", "set", "br0", "up")
        lan = cls(host, host.space("srv"), directory)
        lan.plug(lan.server, "eth0")
        run("ip", "-n", lan.server.name, "addr", "add", "10.77.0.1/24", "dev", "eth0")
        run("ip", "-n", lan.server.name, "link", "set", "eth0", "up")
        return lan

    def plug(self, space: Space, link: str = "eth0") -> None:
        """Connect a link of a namespace to the bridge; the link itself is down."""
        number = len(run("ip", "-o", "link", "show", "master", "br0").splitlines())
        words = f"link add port{number} master br0 up type veth peer {link} netns"
        run("ip", *words.split(), space.name)

    def container(self) -> Space:
        """Return a namespace with a link `eth0` on the bridge."""
        space = self.host.space()
        self.plug(space)
        return space

    def serve(self, *options: str, lease: str = "1h") -> None:
        """Have dnsmasq serve; what it knows of leases lives on between two."""
        words = [
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-ping",
            "--port=0",
            "--log-dhcp",
            f"--log-facility={self.directory / 'dnsmasq.log'}",
            "--interface=eth0",
            "--bind-interfaces",
            "--pid-file=",
            "--user=root",
            f"--dhcp-leasefile={self.directory / 'leases'}",
            "--dhcp-authoritative",
            f"--dhcp-range={self.subnet}.100,{self.subnet}.249,255.255.255.0,{lease}",
            *options,
        ]
        command = ["ip", "netns", "exec", self.server.name, need("dnsmasq"), *words]
        before = self.log().count("started, version")
        self.processes.append(subprocess.Popen(command))
        until(lambda: self.log().count("started, version") > before)

    def silence(self) -> None:
        """Have nobody serve any longer."""
        while self.processes:
            process = self.processes.pop()
            process.kill()
            process.wait()

    def forget(self) -> None:
        """Have the server know nothing of what it has given."""
        self.silence()
        (self.directory / "leases").unlink()

    def leased(self) -> dict[str, str]:
        """Return address -> MAC as the server has them on record."""
        path = self.directory / "leases"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [line.split() for line in lines]  # and one with dnsmasq's own DUID
        return {words[2]: words[1] for words in found if words[0] != "duid"}

    def log(self) -> str:
        """Return what the server has logged."""
        path = self.directory / "dnsmasq.log"
        return path.read_text() if path.exists() else ""


def recorded() -> list[dict[str, Any]]:
    """Return what the keeper has on record."""
    files = sorted(Path("/run/cni/cnipy/dhcp").glob("*/*"))
    return [json.loads(file.read_text()) for file in files]


def addresses(result: dict[str, Any]) -> list[str]:
    """Return the addresses of a result."""
    return [each["address"] for each in result["ips"]]


@contextmanager
def keeper_at(words: Path, *arguments: str) -> Iterator[Keeper]:
    """A keeper at work, until the end of the block."""
    os.makedirs("/run/cni", exist_ok=True)
    keeper = Keeper(words, arguments)
    keeper.start()
    try:
        yield keeper
    finally:
        if keeper.process is not None and keeper.process.poll() is None:
            keeper.stop()


_at_work: list[tuple[Lan, Keeper]] = []


def work(host: Host) -> None:
    """Have a server and a keeper for the container of `host`, until `rest`."""
    directory = Path(tempfile.mkdtemp(prefix="dhcp-"))
    lan = Lan.of(host, directory)
    for space in host.spaces:
        if space != lan.server:
            lan.plug(space)
            run("ip", "-n", space.name, "link", "set", "eth0", "up")
    lan.serve()
    os.makedirs("/run/cni", exist_ok=True)
    keeper = Keeper(directory / "keeper.log", ("--socket", APART))
    keeper.start()
    _at_work.append((lan, keeper))


def rest() -> None:
    """End what `work` began."""
    while _at_work:
        lan, keeper = _at_work.pop()
        keeper.kill()
        lan.silence()
        shutil.rmtree(lan.directory)
