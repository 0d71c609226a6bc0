# SPDX-License-Identifier: Apache-2.0
"""Hosts as a release left them, for each attachment that was recorded."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from lab import Space, need, run

from tests.releases.built import HERE, RECORDED, build, stop_servers
from tests.releases.called import Container
from tests.releases.observed import HOST
from tests.releases.placeholders import revealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lab import Cni, Host

# What an example cannot do without, beside ip, tc and nft.
TOOLS = {
    "dnsname": ("dnsmasq",),
    "iptables": ("iptables-nft-save", "iptables-nft-restore"),
}


@dataclass
class Node:
    """A host with the container c1 as the release attached it, and one beside it.

    `before` is how the host was without them, and `nft` whose words the rules are.
    """

    spaces: Mapping[str, Space]
    one: Container
    other: Container
    before: dict[str, Any]
    world: dict[str, Any]
    nft: str


@pytest.fixture(params=RECORDED)
def node(request: pytest.FixtureRequest, host: Host, cni: Cni) -> Iterator[Node]:
    """The world of a recorded attachment, built anew."""
    recorded = json.loads((HERE / request.param).read_text())
    for word, tools in TOOLS.items():
        if word in request.param:
            for tool in tools:
                need(tool)
    described = recorded["world"]["spaces"]
    spaces = {role: host.space(role) for role in described if role != HOST}
    spaces[HOST] = attached(host)
    spaces = {role: spaces[role] for role in described}
    build(recorded["world"], spaces)
    one = Container(cni.ok, spaces["c1"], "c1", recorded["plugins"])
    one.results = revealed(recorded["results"], spaces)
    plugins = recorded.get("beside", recorded["plugins"])
    other = Container(cni.ok, host.space("c2"), "c2", plugins)
    about = (recorded[key] for key in ("before", "world", "nft"))
    yield Node(spaces, one, other, *about)
    stop_servers()


def attached(host: Host) -> Space:
    """Return the test's own namespace under a name that containers can be told."""
    space = Space(f"host-{os.urandom(4).hex()}")
    run("ip", "netns", "attach", space.name, str(os.getpid()))
    host.spaces.append(space)
    return space
