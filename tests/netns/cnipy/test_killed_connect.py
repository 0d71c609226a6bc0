# SPDX-License-Identifier: Apache-2.0
"""`cnipy connect` and `disconnect` that are killed anywhere, with the plugin they call.

All that a host and the container have is compared, as in test_killed.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from netns.cnipy.helpers import Desk
from netns.cnipy.killing import killings
from netns.cnipy.living import attach
from netns.portmap.helpers import elements
from world import difference, world

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab import Cni, Host, Space

pytestmark = pytest.mark.slow


def network(number: int) -> tuple[dict[str, Any], ...]:
    """Return the plugins of a network of its own."""
    ipam = {"type": "host-local", "subnet": f"10.{number}.0.0/24"}
    bridge = {"type": "bridge", "bridge": f"br{number}", "isGateway": True}
    return (
        {**bridge, "ipMasq": True, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "firewall"},
    )


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An operator with the networks n and back, whose plugins die with the command."""

    def execute(
        argv: list[str], stdin: bytes, env: Mapping[str, str]
    ) -> tuple[int, bytes, bytes]:
        plugin, verb = argv[0].rpartition("/")[2], env["CNI_COMMAND"]
        answer = cni(plugin, verb, stdin, env=dict(env))
        return answer.status, answer.stdout.encode(), answer.stderr.encode()

    monkeypatch.setattr("cnipy.invoke.execute", execute)
    desk = Desk(host, cni, tmp_path)
    for file in (tmp_path.parent / cni.plugin_path).iterdir():
        file.chmod(0o755)
    desk.network("n", *network(1))
    desk.network("back", *network(2))
    return desk


@pytest.fixture
def web(desk: Desk) -> Space:
    """A container of a runtime, on n; somebody else is on back."""
    web, other = desk.host.space(), desk.host.space()
    attach(desk, "n", web)
    attach(desk, "back", other)
    return web


def addresses(space: Space) -> dict[str, str]:
    """Return the IPv4 address of a container by its interfaces."""
    return {
        link["ifname"]: f"{each['local']}/{each['prefixlen']}"
        for link in space.ip("-4", "address")
        for each in link.get("addr_info", ())
        if link["ifname"] != "lo"
    }


def test_killed_connect(desk: Desk, web: Space) -> None:
    """Repeated it is whole, and disconnected nothing is left of it."""
    connect = ("connect", web.name, "back", "-p", "8080:80")
    disconnect = ("disconnect", web.name, "back")
    desk.ok(*connect)
    desk.ok(*disconnect)
    before = world((), web)
    tried = 0
    for where in killings(lambda: desk(*connect), every=7):
        tried += 1
        if tried % 2:
            told = json.loads(desk.ok(*connect, "--json"))
            (ip,) = told["result"]["ips"]
            assert addresses(web) == {"eth0": "10.1.0.2/24", "eth1": ip["address"]}
            to = ip["address"].removesuffix("/24") + " . 80"
            assert elements("hostports4") == {"tcp . 8080": to}, where
            desk.ok("check", "back", web.path, "--ifname", "eth1")
            assert web.reaches("10.2.0.2"), where
            desk.ok(*disconnect)
        else:
            status, _, said = desk(*disconnect)
            assert status == 0 or "it is not attached there" in said, where
        left = difference(before, world((), web))
        assert not left, f"disconnected after {where}: {left}"
    assert tried > 10


def test_killed_disconnect(desk: Desk, web: Space) -> None:
    """Repeated it leaves nothing; until then the container is on no further network."""
    connect = ("connect", web.name, "back", "-p", "8080:80")
    disconnect = ("disconnect", web.name, "back")
    desk.ok(*connect)
    desk.ok(*disconnect)
    before = world((), web)
    desk.ok(*connect)
    tried = 0
    for where in killings(lambda: desk(*disconnect), every=5):
        tried += 1
        status, _, said = desk(*disconnect)
        assert status == 0 or "it is not attached there" in said, where
        left = difference(before, world((), web))
        assert not left, f"repeated after {where}: {left}"
        desk.ok(*connect)
    assert tried > 10
