# SPDX-License-Identifier: Apache-2.0
"""A node whose containers have names: attached by bridge and dnsname, asked by DNS.

Questions are put from inside a container's namespace, with a resolver of our own that
shows what came back, or with the C library's.
"""

from __future__ import annotations

import glob
import ipaddress
import os
import random
import select
import signal
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab import PATIENCE, need
from netns.bridge.helpers import DUAL, conf

from cni_common import state

if TYPE_CHECKING:
    from lab import Cni, Host, Space

A, PTR, TXT, AAAA, HTTPS = 1, 12, 16, 28, 65
NXDOMAIN = 3
GATEWAY, GATEWAY6 = "10.1.2.1", "fd00:1::1"
DOMAIN = "dns.podman"
UPSTREAM = "/run/upstream.pid"
SERVERS = f"{state.ROOT}/dnsname-servers"


@dataclass(frozen=True)
class Reply:
    """What a name server said: the code of RFC 1035 and the data of the answers."""

    code: int
    found: list[str]


@dataclass
class Attached:
    """A container in a network, and how to call dnsname for it again."""

    space: Space
    conf: dict[str, Any]
    options: dict[str, Any]
    result: dict[str, Any]
    address: str
    address6: str

    def ask(self, name: str, kind: int = A, at: str = GATEWAY) -> Reply:
        """Ask as the container would."""
        with self.space.entered():
            return ask(name, kind, at)


@dataclass
class Names:
    """A host with networks in which containers are called by name."""

    host: Host
    cni: Cni

    def close(self) -> None:
        """End every dnsmasq that a test left running, `upstream` included."""
        for number in pids():
            kill(number)
        with suppress(FileNotFoundError):
            with open(UPSTREAM) as file:
                kill(int(file.read()))
            os.unlink(UPSTREAM)

    def bridged(
        self, container: str, space: Space | None = None, **keys: Any
    ) -> tuple[Space, dict[str, Any]]:
        """Attach by bridge alone; return the namespace and the result."""
        space = space or self.host.space()
        wanted = conf(**{"ipam": DUAL, **keys})
        options = {"netns": space, "container_id": container}
        return space, self.cni.ok("bridge", "ADD", wanted, **options)

    def plan(
        self,
        container: str,
        called: str = "",
        aliases: list[str] | None = None,
        bridge: dict[str, Any] | None = None,
        **keys: Any,
    ) -> Attached:
        """Attach by bridge, and return what dnsname will be called with."""
        network = keys.get("name", "net")
        space, result = self.bridged(container, **{"name": network, **(bridge or {})})
        wanted = named(aliases, **{"prevResult": result, **keys})
        options = {"netns": space, "container_id": container}
        if called:
            options["args"] = f"IgnoreUnknown=1;K8S_POD_NAME={called}"
        listed = [ip["address"] for ip in result.get("ips", [])]
        addresses = {ipaddress.ip_interface(a).version: a.split("/")[0] for a in listed}
        both = (addresses.get(4, ""), addresses.get(6, ""))
        return Attached(space, wanted, options, {}, *both)

    def attach(self, container: str, called: str = "", **keys: Any) -> Attached:
        """Attach by bridge and dnsname."""
        planned = self.plan(container, called, **keys)
        planned.result = self.call("ADD", planned)
        return planned

    def call(self, verb: str, it: Attached, **options: Any) -> Any:
        """Call dnsname for an attachment, which must succeed."""
        return self.cni.ok("dnsname", verb, it.conf, **{**it.options, **options})

    def refused(self, verb: str, it: Attached, **options: Any) -> Any:
        """Call dnsname for an attachment, which must fail; return its error."""
        options = {**it.options, **options}
        return self.cni.refused("dnsname", verb, it.conf, **options)


def named(aliases: list[str] | None = None, **keys: Any) -> dict[str, Any]:
    """Return a configuration of dnsname as Podman's runtime sends it."""
    whole = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "dnsname",
        "domainName": DOMAIN,
        "capabilities": {"aliases": True},
        **keys,
    }
    if aliases is not None:
        whole["runtimeConfig"] = {"aliases": {whole["name"]: aliases}}
    return {key: value for key, value in whole.items() if value is not None}


def ask(name: str, kind: int = A, at: str = GATEWAY, seconds: float = 3.0) -> Reply:
    """Ask the name server `at` by UDP, once."""
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    number = random.randrange(1 << 16)
    labels = [label.encode() for label in name.split(".")]
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    header = struct.pack(">6H", number, 0x0100, 1, 0, 0, 0)
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(seconds * PATIENCE)
        udp.connect((at, 53))
        udp.send(header + question + struct.pack(">2H", kind, 1))
        answer = udp.recv(65535)
    echoed, flags, _, count, _, _ = struct.unpack_from(">6H", answer)
    assert echoed == number
    offset = 12 + len(question) + 4
    found = []
    for _ in range(count):
        _, offset = _name(answer, offset)
        given, _, _, length = struct.unpack_from(">HHLH", answer, offset)
        offset += 10
        rdata = answer[offset : offset + length]
        if given in {A, AAAA}:
            found.append(str(ipaddress.ip_address(rdata)))
        elif given == PTR:
            found.append(_name(answer, offset)[0])
        offset += length
    return Reply(flags & 15, sorted(found))


def _name(answer: bytes, offset: int) -> tuple[str, int]:
    labels: list[str] = []
    while length := answer[offset]:
        if length >= 0xC0:
            target = struct.unpack_from(">H", answer, offset)[0] & 0x3FFF
            return ".".join([*labels, _name(answer, target)[0]]), offset + 2
        labels.append(answer[offset + 1 : offset + 1 + length].decode())
        offset += 1 + length
    return ".".join(labels), offset + 1


def reverse(address: str) -> str:
    """Return the name by which the names of an address are asked for."""
    return ipaddress.ip_address(address).reverse_pointer


def resolved(it: Attached, name: str, database: str = "ahosts") -> list[str]:
    """Return what the C library finds with the resolv.conf that the result asks for."""
    dns = it.result["dns"]
    lines = [f"nameserver {server}" for server in dns["nameservers"]]
    lines.append("search " + " ".join(dns["search"]))
    path = f"/run/resolv-{it.space.name}"
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")
    look = f"{need('getent')} {database} {name}"
    script = f"mount --bind {path} /etc/resolv.conf && exec {look}"
    shown = it.space.run("unshare", "-m", "sh", "-c", script, check=False)
    return sorted({line.split()[0] for line in shown.splitlines()})


def pids() -> list[int]:
    """Return the dnsmasq processes of this host, as the process table shows them."""
    found = []
    own = os.readlink("/proc/thread-self/ns/net")
    for path in glob.glob("/proc/[0-9]*"):
        with suppress(OSError), open(f"{path}/cmdline", "rb") as file:
            ours = f"--conf-file={SERVERS}/".encode() in file.read()
            if ours and os.readlink(f"{path}/ns/net") == own:
                found.append(int(path.split("/")[2]))
    return sorted(found)


def pid(network: str = "net") -> int:
    """Return the dnsmasq of a network."""
    with open(f"{SERVERS}/{network}/pid") as file:
        return int(file.read())


def kill(number: int) -> None:
    """Kill a dnsmasq, and return when it is gone."""
    fd = os.pidfd_open(number)
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    select.select([fd], [], [], 5)
    os.close(fd)


def left() -> list[str]:
    """Return the files that dnsname has left below /run/cni/cnipy."""
    tops = (SERVERS, f"{state.ROOT}/dnsname")
    return [path for top in tops for path, _, _ in os.walk(top)]


def upstream(host: Host, **names: str) -> Space:
    """Return a neighbour at 198.51.100.2 whose name server knows `names`."""
    space = host.outside()
    known = [f"--host-record={name}.example.org,{at}" for name, at in names.items()]
    words = ["dnsmasq", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]
    words += [f"--pid-file={UPSTREAM}", "--local=/#/", *known]
    words += ["--listen-address=198.51.100.2", "--bind-interfaces", "--user=root"]
    space.run(need("dnsmasq"), *words[1:])
    return space


def wait_for(holds: Any, seconds: float = 5.0) -> None:
    """Return when `holds()`; fail after `seconds`."""
    until = time.monotonic() + seconds * PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)
