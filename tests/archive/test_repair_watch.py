# SPDX-License-Identifier: Apache-2.0
"""`cnipy repair --watch`, packed: what is taken away is soon there again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import private_firewalld
import pytest
from lab import PATIENCE, run
from warm_server import wait_until

from cni_common import system_bus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Host, Space

BRIDGE = {
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "ipMasq": True,
    "macspoofchk": True,
    "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
}
LISTS: dict[str, list[dict[str, Any]]] = {
    "f": [BRIDGE, {"type": "firewall"}],
    "l": [
        BRIDGE,
        {"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 800_000},
    ],
    "n": [BRIDGE, {"type": "portmap", "capabilities": {"portMappings": True}}],
    "p": [
        {
            "type": "ptp",
            "ipMasq": True,
            "ipam": {"type": "host-local", "subnet": "10.8.0.0/24"},
        }
    ],
}
PORTS = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}


class Operator:
    """Somebody with a shell on the node, and a place for what the watch prints."""

    def __init__(self, packed: Path, plugins: Path, directory: Path) -> None:
        self.packed, self.log = packed, directory / "log"
        conf_dir = directory / "net.d"
        conf_dir.mkdir()
        for name, listed in LISTS.items():
            document = {"cniVersion": "1.1.0", "name": name, "plugins": listed}
            (conf_dir / f"{name}.conflist").write_text(json.dumps(document))
        self.env = {
            "PATH": os.environ["PATH"],
            "CNI_PATH": str(plugins),
            "NETCONFPATH": str(conf_dir),
        }

    def __call__(self, *words: str, **env: str) -> None:
        """Run the command, which must succeed."""
        run(str(self.packed), *words, env=self.env | env)

    def attach(self, network: str, space: Space) -> None:
        """Attach a container, with a port where the list has portmap."""
        values = PORTS if network == "n" else {}
        self("add", network, space.path, CAP_ARGS=json.dumps(values))

    @contextmanager
    def watching(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Have the watch running in the block; it ends in silence, with status 0."""
        with self.log.open("wb") as log:
            watch = subprocess.Popen(
                [self.packed, "repair", "--watch", *words],
                env=self.env,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(lambda: is_listening(watch.pid))
            yield watch
            watch.send_signal(signal.SIGTERM)
            assert watch.wait(10 * PATIENCE) == 0, self.said
        finally:
            watch.kill()
            watch.wait()

    @property
    def said(self) -> str:
        """What the watch has printed so far."""
        return self.log.read_text()


def is_listening(pid: int) -> bool:
    """Tell whether a process listens to the groups of nftables (/proc/net/netlink)."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # a descriptor that was closed meanwhile
            kind, _, rest = os.readlink(f"/proc/{pid}/fd/{name}").partition(":[")
            inodes |= {rest[:-1]} if kind == "socket" else set()
    lines = Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]
    found = (line.split() for line in lines)
    return any(f[1] == "12" and int(f[3], 16) & 0x40 and f[9] in inodes for f in found)


def rules() -> list[str]:
    """Return the ruleset of the host."""
    return sorted(run("nft", "-s", "list", "ruleset").splitlines())


@pytest.fixture
def operator(packed: Path, plugin_dir: Path, tmp_path: Path, host: Host) -> Operator:
    """An operator with the networks n and p."""
    assert host
    return Operator(packed, plugin_dir, tmp_path)


def test_rules_come_back_by_themselves(operator: Operator, host: Host) -> None:
    """A flush, a deleted rule, chain and element are noticed while nobody calls."""
    operator.attach("n", host.space())
    operator.attach("p", host.space())
    before = rules()
    damages: tuple[tuple[str, ...], ...] = (
        ("flush", "ruleset"),
        ("delete", "table", "inet", "cnipy_masquerade"),
        ("flush", "chain", "inet", "cnipy_portmap", "prerouting"),
        ("delete", "element", "inet", "cnipy_portmap", "hostports4", "{ tcp . 8080 }"),
        ("flush", "set", "bridge", "cnipy_spoofcheck", "bound"),
        ("flush", "ruleset"),
    )
    with operator.watching():
        for damage in damages:
            run("nft", *damage)
            wait_until(lambda: rules() == before)
        assert "missing table inet cnipy_portmap; put back" in operator.said
        seen = ""
        while seen != operator.said:  # a line comes after what it tells of
            seen = operator.said
            time.sleep(0.5 * PATIENCE)
        operator.attach("p", host.space())
        assert rules() == before
    assert operator.said == seen


def test_links_and_routes_come_back_by_themselves(
    operator: Operator, host: Host
) -> None:
    """A port that is down or off its bridge, a gateway's address, a route, a bridge."""
    bridged, routed = host.space(), host.space()
    operator.attach("n", bridged)
    operator.attach("p", routed)
    (veth,) = (link["ifname"] for link in shown("link", "show", "master", "br0"))
    with operator.watching():
        run("ip", "link", "set", veth, "down")
        wait_until(lambda: bridged.reaches("10.9.0.1"))
        run("ip", "link", "set", veth, "nomaster")
        wait_until(lambda: bridged.reaches("10.9.0.1"))
        run("ip", "address", "flush", "dev", "br0", "scope", "global")
        wait_until(lambda: bridged.reaches("10.9.0.1"))
        run("ip", "route", "delete", "10.8.0.2")
        wait_until(lambda: routed.reaches("10.8.0.1"))
        run("ip", "link", "set", "br0", "down")
        wait_until(lambda: bridged.reaches("10.9.0.1"))
        run("ip", "link", "delete", "br0")
        wait_until(lambda: bridged.reaches("10.9.0.1"))


def test_limits_come_back_by_themselves(operator: Operator, host: Host) -> None:
    """A discipline that somebody deleted is noticed, too."""
    operator.attach("l", host.space())
    (veth,) = (link["ifname"] for link in shown("link", "show", "master", "br0"))

    def kinds() -> set[str]:
        listed = json.loads(run("tc", "-j", "qdisc", "show", "dev", veth))
        return {each["kind"] for each in listed}

    assert "tbf" in kinds()
    with operator.watching():
        for _ in range(2):  # the first may be mended by what the watch begins with
            run("tc", "qdisc", "delete", "dev", veth, "root")
            wait_until(lambda: "tbf" in kinds())


def shown(*words: str) -> Any:
    """Return what `ip -j` says of the host."""
    return json.loads(run("ip", "-j", *words))


def test_what_is_detached_stays_away(operator: Operator, host: Host) -> None:
    """DEL under a watch leaves nothing, and the watch says nothing."""
    spaces = [host.space() for _ in range(4)]
    with operator.watching():
        for _ in range(3):
            for space in spaces:
                operator.attach("p", space)
            for space in spaces:
                operator("del", "p", space.path)
    assert rules() == []
    assert operator.said == ""
    masqueraded = Path("/run/cni/cnipy/masquerade")
    assert [p for p in masqueraded.rglob("*") if p.is_file()] == []


def test_what_is_gone_is_said_once(operator: Operator, host: Host) -> None:
    """A link that only a new container gets is no reason to say so each time."""
    lost, kept = host.space(), host.space()
    operator.attach("p", lost)
    operator.attach("n", kept)
    before = rules()
    with operator.watching():
        lost.run("ip", "link", "delete", "eth0")
        for _ in range(2):
            run("nft", "flush", "ruleset")
            wait_until(lambda: rules() == before)
        run("ip", "link", "set", "br0", "down")
        wait_until(lambda: "the link is gone" in operator.said)
        run("ip", "link", "set", "br0", "down")
        wait_until(lambda: kept.reaches("10.9.0.1"))
    assert operator.said.count("check interface eth0: it does not exist") == 1


def test_sources_come_back_after_a_reload(
    operator: Operator, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """firewalld forgets the containers when it is reloaded, and is told again."""
    monkeypatch.delenv(system_bus.ADDRESS, raising=False)
    operator.attach("f", host.space())
    bus = private_firewalld.system_bus(tmp_path)
    with (
        operator.watching(),
        bus,
        private_firewalld.running(tmp_path) as firewall,
    ):
        wait_until(lambda: firewall.sources() == {"10.9.0.2/32"}, 20)
        for _ in range(2):
            firewall.reload()
            wait_until(lambda: firewall.sources() == {"10.9.0.2/32"}, 20)


def test_names_are_checked_at_the_start(operator: Operator) -> None:
    """A watch for a network that nothing has does not begin."""
    words = [str(operator.packed), "repair", "--watch", "x"]
    ended = subprocess.run(
        words, env=operator.env, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "there are: f l n p" in ended.stderr
