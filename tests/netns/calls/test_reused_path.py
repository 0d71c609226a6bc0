# SPDX-License-Identifier: Apache-2.0
"""DEL of what is gone, by a path that leads to another suite's container by now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.calls.lists import CHAINS
from netns.macvlan.helpers import names

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def by_others(host: Host, kind: str) -> Space:
    """Return a container with an eth0 that says nothing about who made it."""
    space = host.space()
    if kind == "macvlan":
        add = ("link", "add", "mv0", "link", "eth0", "type", "macvlan")
        run("ip", *add, "mode", "bridge")
        run("ip", "link", "set", "mv0", "netns", space.name)
        space.run("ip", "link", "set", "mv0", "name", "eth0")
    else:
        end = ("peer", "name", "eth0", "netns", space.name)
        run("ip", "link", "add", "cali1", "type", "veth", *end)
    return space


@pytest.mark.parametrize("kind", ["bridge", "ptp", "macvlan"])
def test_links_of_others_stay(cni: Cni, host: Host, kind: str) -> None:
    """A second DEL, whose prevResult tells what was made, takes no other link."""
    host.outside()
    base: dict[str, Any] = {"cniVersion": "1.1.0", "name": "net"}
    conf = base | CHAINS[kind][0]
    space = host.space()
    result = cni.ok(kind, "ADD", conf, netns=space)
    gone = conf | {"prevResult": result}
    cni.ok(kind, "DEL", gone, netns=space)
    other = by_others(host, kind)
    cni.ok(kind, "DEL", gone, netns=other)
    assert "eth0" in names(other)
