# SPDX-License-Identifier: Apache-2.0
"""docs/switching.md as it is written: both ways, with containers that live on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from page_blocks import Reader

from tests.differential.cases import PORTMAP, V4, V6, bridge, ipam
from tests.runtimes import web
from tests.runtimes.sandbox import remains
from tests.runtimes.sandbox.chain import Attachment, Network, PluginError, Plugins
from tests.runtimes.sandbox.machine import wait_for
from tests.runtimes.sandbox.requirements import reference_directory

if TYPE_CHECKING:
    from tests.runtimes.sandbox import Sandbox

BIN = "/opt/cni/bin"
LIST: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "lab",
    "plugins": [
        bridge(
            isDefaultGateway=True,
            ipMasq=True,
            hairpinMode=True,
            ipam=ipam(V4, V6),
        ),
        PORTMAP,
    ],
}
# Asks again and again by one connection, and says how many answers it has had.
TALK = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
answers = 0
while True:
    s.sendall(b"?")
    assert s.recv(1), "closed"
    answers += 1
    print(answers, flush=True)
    time.sleep(0.05)
"""
ANSWER = """
import socket, sys, threading
def serve(s):
    while data := s.recv(1):
        s.sendall(data)
at = ("::", int(sys.argv[1]))
listener = socket.create_server(at, family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    threading.Thread(target=serve, args=listener.accept()[:1]).start()
"""


class Node:
    """A machine whose plugin directory has the reference plugins, and its network."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        source = reference_directory()
        every = sorted(path.name for path in source.iterdir())
        self.network = Network(Plugins(sandbox, source, every, BIN), LIST)
        web.start(sandbox, "answer", "client", 9000, [*web.PYTHON, ANSWER, "9000"])

    def attach(self, name: str, port: int) -> Attachment:
        """Have a container with a port published, and two connections: out and in."""
        self.sandbox.run("ip", "netns", "add", name)
        mapping = {"hostPort": port, "containerPort": 80, "protocol": "tcp"}
        at = Attachment(
            name, f"/run/netns/{name}", capabilities={"portMappings": [mapping]}
        )
        self.network.add(at)
        web.start(self.sandbox, f"{name}-80", name, 80, [*web.PYTHON, ANSWER, "80"])
        self._talk(f"{name}-out", name, web.CLIENT, 9000)
        self._talk(f"{name}-in", "client", web.HOST, port)
        self.assert_connected(name)
        return at

    def _talk(self, name: str, netns: str, address: str, port: int) -> None:
        words = [*web.PYTHON, TALK, address, str(port)]
        self.sandbox.start(name, *words, netns=netns)

    def assert_connected(self, name: str) -> None:
        """Both connections of a container get answers still, never made anew."""
        for log in (f"/run/lab/{name}-out.log", f"/run/lab/{name}-in.log"):
            before = self._answers(log)
            wait_for(lambda at=log, n=before: self._answers(at) > n + 3, log, 60)  # type: ignore[misc]  # defaults bind the loop's values

    def _answers(self, log: str) -> int:
        path = self.sandbox.path(log)
        lines = path.read_text().split() if path.exists() else []
        return int(lines[-1]) if lines else 0

    def files(self) -> dict[str, bytes]:
        """Return what the plugin directory has."""
        return {p.name: p.read_bytes() for p in self.sandbox.path(BIN).iterdir()}


def test_page_of_switching(machine: Sandbox) -> None:
    """Containers of either side keep their connections, and nothing of them is left."""
    node = Node(machine)
    before = node.files()
    theirs = node.attach("theirs", 8081)
    reader = Reader("switching", machine)

    reader.next("./build.sh install")
    assert node.files()["bridge"] != before["bridge"]
    node.assert_connected("theirs")
    ours = node.attach("ours", 8082)
    assert "CNI-" in reader.next("nft list ruleset")
    node.network.delete(theirs)
    assert remains.everything(machine, "theirs", "10.77.0.2", "8081") == [
        *remains.veths(machine),
        *remains.leases(machine),
        "ours",
        "theirs",
    ]
    assert len(remains.leases(machine)) == 2

    reader.next("./build.sh uninstall")
    assert node.files() == before
    node.assert_connected("ours")
    later = node.attach("later", 8083)
    with pytest.raises(PluginError, match="999"):
        node.network.delete(ours)
    node.network.delete(ours)
    node.assert_connected("later")
    reader.next("nft list tables")
    node.assert_connected("later")
    node.network.delete(later)
    reader.assert_at_end()
    assert remains.veths(machine) == remains.leases(machine) == []
    assert "cnipy" not in machine.run("nft", "list", "ruleset").stdout
    assert not machine.path("/run/cni/cnipy").exists()
