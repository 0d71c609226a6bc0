# SPDX-License-Identifier: Apache-2.0
"""Clocks jump by years under agents, one ahead and the other back, again and again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import lacking
from netns.net import pairs
from netns.net.machines import wait_until
from netns.net.pairs import CONFIG, network, talk, ways

if TYPE_CHECKING:
    from netns.net.machines import Lan, Node

CLOCK = "/run/clock"  # what the agents' clock is off by
FORGET = 6  # seconds
JUMPS = ("+3650d", "-3650d", "+40s", "-40s", "+1d")


@pytest.fixture(scope="module")
def pair(lan: Lan) -> list[Node]:
    """Two nodes whose agents have a clock of the test's; files have the host's."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        lacking("libfaketime is not installed")
    joined = pairs.joined(lan)
    whole = json.loads(lan.store()[CONFIG])
    lan.etcdctl("put", CONFIG, input=json.dumps({**whole, "forgetAfter": FORGET}))
    clock = {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": CLOCK,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    for each in joined:
        each.ok("net", "repair")
        each.stop()
        jump(each, "+0")
        each.start(env=clock)
        assert each.agent is not None
        assert "libfaketime" in Path(f"/proc/{each.agent.pid}/maps").read_text()
    return joined


def jump(node: Node, by: str) -> None:
    """Have the clock of a node's agent be off by so much."""
    path = node.path(CLOCK)
    draft = path.with_suffix(".new")
    draft.write_text(f"{by}\n")
    draft.rename(path)


def test_clocks_that_jump_change_nothing(lan: Lan, pair: list[Node]) -> None:
    """Nobody is forgotten, nobody stops to publish, and what is new is heard of."""
    one, other = pair
    wait_until(lambda: any(network(each)["publishes"] for each in pair), 30)
    publishers = [network(each)["publishes"] for each in pair]
    wait_until(lambda: sum("/alive/" in key for key in lan.store()) == len(pair), 20)
    before = [ways(each) for each in pair]
    until = time.monotonic() + 2 * FORGET
    for number in range(1000):
        jump(one, JUMPS[number % len(JUMPS)])
        jump(other, JUMPS[-1 - number % len(JUMPS)])
        time.sleep(0.5)
        assert [ways(each) for each in pair] == before
        if time.monotonic() > until:
            break
    assert [network(each)["publishes"] for each in pair] == publishers
    assert pairs.are_well(pair)
    assert talk(pair)
    jump(one, JUMPS[0])
    jump(other, JUMPS[1])
    other.container("apps", "late")
    wait_until(lambda: "/cnipy/v1/apps/names/late" in lan.store(), 10)
    third = lan.node(13)
    third.ok("net", "join", "apps")
    (block,) = network(third)["blocks"]
    wait_until(lambda: all(block in ways(each) for each in pair), 10)
    other.ok("del", "apps", "late")
    wait_until(lambda: "/cnipy/v1/apps/names/late" not in lan.store(), 10)
    assert pairs.run_on(pair)
