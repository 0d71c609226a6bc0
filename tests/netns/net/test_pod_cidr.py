# SPDX-License-Identifier: Apache-2.0
"""Nodes whose block is told by Kubernetes, by flag and by file."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING

import pytest
from netns.net import machines
from netns.net.machines import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.net.machines import Lan

POD_FILE = "/run/flannel/subnet.env"


@pytest.fixture
def lan() -> Iterator[Lan]:
    """A network of machines with an etcd."""
    with machines.lan() as made:
        yield made


def test_nodes_have_the_blocks_that_they_are_told(lan: Lan) -> None:
    """Containers have their addresses there and reach each other; no other is claimed,
    and another node's is refused by its name.
    """
    one, other, thief = (lan.node(number) for number in (11, 12, 13))
    one.ok("net", "create", "apps", "--pool", "10.244.0.0/16", "--block", "24")
    other.path(POD_FILE).parent.mkdir()
    written = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.4.1/24\n"
    other.path(POD_FILE).write_text(written)
    told = {one: "10.244.3.0/24", other: POD_FILE}
    for node, cidr in told.items():
        node.ok("net", "join", "apps", "--pod-cidr", cidr)
        node.start()
    first, second = one.container("apps", "web"), other.container("apps", "db")
    assert ipaddress.ip_address(first) in ipaddress.ip_network("10.244.3.0/24")
    assert ipaddress.ip_address(second) in ipaddress.ip_network("10.244.4.0/24")
    wait_until(lambda: "10.244.4.0/24" in one.routes())
    wait_until(lambda: "10.244.3.0/24" in other.routes())
    assert one.reaches(second, by="web")
    assert other.reaches(first, by="db")
    said = thief.refused("net", "join", "apps", "--pod-cidr", "10.244.4.0/24")
    assert "10.244.4.0/24" in said
    assert "n12" in said
    wait_until(lambda: len(_blocks(lan)) == len(told))
    assert _blocks(lan) == {"10.244.3.0_24": "n11", "10.244.4.0_24": "n12"}


def _blocks(lan: Lan) -> dict[str, str]:
    """Return who has which block, as the store has it."""
    room = "/cnipy/v1/apps/blocks/"
    return {
        key.removeprefix(room): json.loads(value)["node"]
        for key, value in lan.store().items()
        if key.startswith(room)
    }
