# SPDX-License-Identifier: Apache-2.0
"""What the operator's command tells of a network of blocks."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
from netns.cnipy.helpers import Desk

from cni_common.pool import held

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host

BRIDGE = {
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "gatewayPerSubnet": True,
    "ipam": {"type": "cluster-pool"},
}


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator of a node that holds two blocks of five addresses."""
    blocks = (ip_network("10.64.3.0/29"), ip_network("10.64.9.0/29"))
    held.write("apps", held.Held((ip_network("10.64.0.0/16"),), blocks))
    return Desk(host, cni, tmp_path)


def test_addresses_of_all_blocks_are_counted(desk: Desk, host: Host) -> None:
    """Both blocks are one pool; who has an address is named."""
    desk.network("apps", BRIDGE)
    desk.attach("apps", host.space())
    told = json.loads(desk.ok("addresses", "apps", "--json"))
    (pool,) = told["pools"]
    assert pool["subnets"] == ["10.64.3.0/29", "10.64.9.0/29"]
    assert (pool["size"], pool["used"], pool["free"]) == (10, 1, 9)
    assert [each["address"] for each in told["used"]] == ["10.64.3.2"]


def test_a_list_that_would_fail_at_its_second_block_is_doubted(desk: Desk) -> None:
    """Without the key of bridge, validate says what it is for."""
    desk.network("apps", BRIDGE)
    assert "without gatewayPerSubnet" not in "".join(desk("validate")[1:])
    lacking = {k: v for k, v in BRIDGE.items() if k != "gatewayPerSubnet"}
    desk.network("apps", lacking)
    assert "without gatewayPerSubnet" in "".join(desk("validate")[1:])


def test_what_the_next_container_gets_is_explained(desk: Desk) -> None:
    """Nothing is leased for that."""
    desk.network("apps", BRIDGE)
    assert "cluster-pool gives 10.64.3.2/29" in desk.ok("explain", "apps")


def test_full_blocks_are_found_by_the_doctor(desk: Desk, host: Host) -> None:
    """The cure is what keeps the agent from another block, not a larger subnet."""
    desk.network("apps", BRIDGE)
    for _ in range(10):
        desk.attach("apps", host.space())
    found = json.loads(desk("doctor", "--json")[1])
    (full,) = (each for each in found if each["name"] == "range-full")
    assert full["cure"][1].startswith("cnipy net status ")
