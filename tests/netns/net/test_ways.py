# SPDX-License-Identifier: Apache-2.0
"""Ways to other nodes, and rules beside them, as an agent has them made."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab import run
from netns.net import helpers

from cni_common import state
from cni_common.allowed import users
from cni_common.spec.errors import CNIError
from cnipy.net.agent.ways import Ways
from cnipy.net.cache import Cache


@pytest.mark.usefixtures("host")
def test_ways_are_made_though_rules_cannot_be() -> None:
    """Both are tried each time; what failed is a fault until it does not."""
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    config, own = helpers.config("gpe", policy="same-bridge"), helpers.record(1)
    for address in own.underlay:
        run("ip", "addr", "add", str(address), "dev", "up0")
    run("ip", "link", "set", "up0", "up")
    kept, told = Cache(config.name), list[str]()
    kept.keep_config(config)
    kept.keep_own(own)
    kept.keep_peers({"node-2": helpers.record(2)}, 1)
    ways = Ways(kept)
    in_the_way = Path(state.path(users.DECLARED))
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.touch()
    for _ in range(2):
        with pytest.raises(CNIError):
            ways.follow(config, own, None, told.append)
        assert users.DECLARED in ways.faults()["ways"]
        assert str(helpers.blocks(2)[0]) in run("ip", "route", "show", "proto", "78")
        run("ip", "nexthop", "flush", "proto", "78")
    in_the_way.unlink()
    ways.follow(config, own, None, told.append)
    assert ways.faults() == {}
    assert told == []
    assert "chain isolation" in run("nft", "list", "table", "inet", "cnipy_firewall")
    ways.close()
