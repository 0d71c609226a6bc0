# SPDX-License-Identifier: Apache-2.0
"""What `cnipy` warns of, since plugins must accept it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnipy import network as networks
from cnipy.doubts import doubts
from launcher import keys
from launcher.loading import load
from plugins import REGISTER

if TYPE_CHECKING:
    from conftest import Desk  # type: ignore[attr-defined] # pytest loads it by path

NETNS = "/run/netns/web"


def warnings(desk: Desk, *plugins: object, **env: str) -> list[str]:
    """Return what `add` warns of in a list of plugins that are in the register."""
    desk.suite = replace(
        desk.suite,
        names=("bridge", "host-local", "portmap"),
        unread=keys.unread,
        plugin=load,
    )
    for name in desk.suite.names:
        (desk.directory / "bin" / name).symlink_to("first")
    desk.conflist(plugins=list(plugins))
    status, stdout, stderr = desk.cnipy("add", "n", NETNS, **env)
    assert status == 0, stderr
    assert json.loads(stdout)
    return [line.partition("cnipy: warning: ")[2] for line in stderr.splitlines()]


NO_PORTS = 'no runtime sends ports without "capabilities": {"portMappings": true}'
IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/24"}]]}
PORTS = {"type": "portmap", "capabilities": {"portMappings": True}}
ADVICE = (
    "CAP_ARGS: no plugin of n asks for 'portMappings'; "
    '"capabilities": {"portMappings": true} in one would ask'
)
MAPPING = json.dumps({"portMappings": [{"hostPort": 1, "containerPort": 2}]})


@pytest.mark.parametrize(
    ("plugin", "warning"),
    [
        (
            {"type": "bridge", "isGatway": True, "ipam": IPAM},
            "bridge: nothing reads 'isGatway', is 'isGateway' meant?",
        ),
        (
            {"type": "bridge", "ipam": {**IPAM, "rangs": []}},
            "bridge: nothing reads 'ipam.rangs', is 'ranges' meant?",
        ),
        (
            {
                "type": "bridge",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": "10.9.0.0/24", "gatway": "10.9.0.9"}]],
                },
            },
            "bridge: nothing reads 'ipam.ranges.gatway', is 'gateway' meant?",
        ),
        ({"type": "bridge", "ipam": IPAM, "x": 1}, "bridge: nothing reads 'x'"),
        (
            {"type": "bridge", "isGateway": True},
            "bridge: isGateway without ipam: no address, no effect",
        ),
        (
            {"type": "portmap"},
            "portmap: " + NO_PORTS,
        ),
        (
            {**PORTS, "capabilities": {"portMappings": True, "macs": True}},
            "portmap: no runtime sends the capability 'macs', is 'mac' meant?",
        ),
        ({"type": "foreign", "whatever": 1}, ""),
    ],
)
def test_what_has_no_effect_is_warned_of(
    plugin: dict[str, object], warning: str, desk: Desk
) -> None:
    """The attachment is made; what an administrator probably meant is on stderr."""
    (desk.directory / "bin/foreign").symlink_to("first")
    assert warnings(desk, plugin) == ([warning] if warning else [])


@pytest.mark.parametrize(
    ("plugin", "cap_args", "warning"),
    [
        (PORTS, MAPPING, ""),
        (
            PORTS,
            MAPPING.replace("portMappings", "portMapings"),
            "CAP_ARGS: no plugin of n asks for 'portMapings', is 'portMappings' meant?",
        ),
        (
            {"type": "bridge", "ipam": IPAM},
            MAPPING,
            ADVICE,
        ),
    ],
)
def test_capability_that_reaches_nobody_is_warned_of(
    plugin: dict[str, object], cap_args: str, warning: str, desk: Desk
) -> None:
    """A value of CAP_ARGS goes to plugins that declare it, and to no other."""
    assert warnings(desk, plugin, CAP_ARGS=cap_args) == ([warning] if warning else [])


def test_second_file_of_a_name_is_warned_of(desk: Desk) -> None:
    """Which of two lists is taken is told with both files."""
    desk.conflist("first", file="20-n.conflist")
    found = warnings(desk, PORTS)
    first, second = (desk.conf_dir / f"{n}-n.conflist" for n in (10, 20))
    assert found == [f"n is taken from {first}; also of that name: {second}"]


@pytest.mark.parametrize(
    "path",
    sorted((Path(__file__).parents[3] / "conf-examples").glob("*.conflist")),
    ids=lambda path: path.stem,
)
def test_examples_are_warned_of_nothing(path: Path, desk: Desk) -> None:
    """What the project itself and the runtimes write is read by its plugins."""
    suite = replace(
        desk.suite,
        names=tuple(REGISTER),
        unread=keys.unread,
        plugin=load,
    )
    found = networks.parse(path.read_bytes(), str(path))
    assert list(doubts(suite, found, [], {})) == []
