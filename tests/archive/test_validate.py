# SPDX-License-Identifier: Apache-2.0
"""What `cnipy validate` says of lists is what becomes of containers."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host, Space

PORTS = {"portMappings": [{"hostPort": 1, "containerPort": 2, "protocol": "tcp"}]}


class Desk:
    """An operator with the packed command, the packed plugins, and lists."""

    def __init__(self, packed: Path, plugins: Path, conf_dir: Path) -> None:
        self.packed, self.conf_dir = packed, conf_dir
        self.env = {
            "PATH": os.environ["PATH"],
            "CNI_PATH": str(plugins),
            "NETCONFPATH": str(conf_dir),
            "CAP_ARGS": json.dumps(PORTS),
        }

    def network(self, name: str, *plugins: object) -> None:
        """Have a network of these plugins."""
        document = {"cniVersion": "1.1.0", "name": name, "plugins": plugins}
        (self.conf_dir / f"{name}.conflist").write_text(json.dumps(document))

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Run the command; return its status, stdout and stderr."""
        ended = subprocess.run(
            [self.packed, *words],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr


def links_of(space: Space) -> list[str]:
    """Return the names of a container's links."""
    return [link["ifname"] for link in space.ip("link", "show")]


def bridge(subnet: str, **more: object) -> dict[str, Any]:
    """Return a bridge that is the gateway of a subnet."""
    ipam = {"type": "host-local", "subnet": subnet}
    return {"type": "bridge", "bridge": "br0", "isGateway": True, "ipam": ipam, **more}


BRIDGE = bridge("10.1.0.0/16")
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
STATIC = {"type": "static", "addresses": [{"address": "10.8.0.2/24"}]}
PTP = {"type": "ptp", "ipam": STATIC}


@pytest.fixture
def desk(packed: Path, plugin_dir: Path, tmp_path: Path, host: Host) -> Desk:
    """An operator without networks."""
    assert host
    (tmp_path / "net.d").mkdir()
    return Desk(packed, plugin_dir, tmp_path / "net.d")


@pytest.mark.parametrize(
    "plugins",
    [
        [PORTMAP, BRIDGE],
        [BRIDGE, {"type": "host-local"}],
        [BRIDGE, PTP],
        [{"type": "loopback"}, {"type": "tuning", "mtu": 1400}],
        [bridge("10.1.0.0/16", vlan=4095)],
        [bridge("10.1.0.1/16")],
        [BRIDGE, {"type": "firewall", "firewalldZone": "a b"}],
        [BRIDGE, {**PORTMAP, "conditionsV4": ["jump", "x"]}],
    ],
)
def test_what_is_called_an_error_attaches_nobody(
    plugins: list[dict[str, Any]], desk: Desk, host: Host
) -> None:
    """A list of which an error is told is refused by the plugins themselves."""
    desk.network("n", *plugins)
    status, told, _ = desk("validate")
    assert status == 1
    assert ": error: " in told
    space = host.space()
    status, _, refused = desk("add", "n", space.path)
    assert status == 1, refused
    assert "eth0" not in links_of(space)


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        (bridge("10.2.0.0/16"), "takes no gateway 10.2.0.1 beside 10.1.0.1"),
        (bridge("10.2.0.0/16", forceAddress=True), ""),
        (bridge("fd00:2::/64"), ""),
    ],
)
def test_gateways_that_a_bridge_cannot_have_are_told_before(
    other: dict[str, Any], cause: str, desk: Desk, host: Host
) -> None:
    """The second network's container is refused exactly where that was told."""
    desk.network("a", BRIDGE)
    desk.network("b", other)
    status, told, _ = desk("validate")
    assert status == bool(cause)
    assert cause in told
    first, second = host.space(), host.space()
    assert desk("add", "a", first.path)[0] == 0
    assert desk("add", "b", second.path)[0] == status
    assert ("eth0" in links_of(second)) == (not cause)


def test_good_lists_have_nothing_wrong_and_attach(desk: Desk, host: Host) -> None:
    """All plugins are there, and asked for their versions."""
    desk.network("n", BRIDGE, PORTMAP)
    desk.network("p", PTP)
    status, told, _ = desk("validate")
    assert (status, told) == (0, "2 files: nothing wrong\n")
    for name in ("n", "p"):
        space = host.space()
        assert desk("add", name, space.path)[0] == 0
        assert "eth0" in links_of(space)


def test_missing_plugin_is_told(desk: Desk) -> None:
    """A plugin that CNI_PATH does not have is an error, one of IPAM, too."""
    desk.network("n", {**BRIDGE, "ipam": {"type": "whereabouts"}}, {"type": "calico"})
    status, told, _ = desk("validate")
    assert status == 1
    assert "find plugin 'whereabouts': not in CNI_PATH" in told
    assert "find plugin 'calico': not in CNI_PATH" in told
