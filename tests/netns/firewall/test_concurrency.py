# SPDX-License-Identifier: Apache-2.0
"""firewall: calls for many containers at the same time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from lab import nft_objects, run
from netns.firewall.helpers import (
    Guarded,
    drop_forwarded,
    left,
    members,
    needs_variant,
    saved,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab import Cni, Host, Space

MANY = 12
ISOLATED = {"ingressPolicy": "isolated"}


@pytest.fixture
def node(host: Host, cni: Cni) -> Guarded:
    """A node with two bridges."""
    return Guarded(host, cni)


def at_once(node: Guarded, calls: Iterable[tuple[str, int]], space: Space) -> None:
    """Have a process for each call; all must succeed."""
    children = []
    for command, number in calls:
        child = os.fork()
        if child == 0:
            answer = node.call(command, space, number, **ISOLATED)
            os._exit(answer.status)
        children.append(child)
    ends = [os.waitpid(child, 0)[1] for child in children]
    assert ends == [0] * len(ends)


def add_ports(numbers: Iterable[int]) -> None:
    """Have ports of br0 that stand for containers."""
    for number in numbers:
        link = f"br0p{number}"
        run("ip", "link", "add", link, "type", "veth", "peer", "name", f"x{number}")
        run("ip", "link", "set", link, "master", "br0")


def attached(variant: str) -> set[str]:
    """Return the IPv4 addresses that rules let through."""
    if not variant:
        return set(members("containers4"))
    lines = [line for line in saved(variant) if " -s 10.1.0." in line]
    found = [line.split(" -s ")[1].split("/")[0] for line in lines]
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize("variant", ("", "nft", "legacy"))
def test_parallel_calls_lose_nothing(node: Guarded, variant: str) -> None:
    """After ADDs and DELs in parallel exactly the right rules are there."""
    before: list[str] = []
    if variant:
        needs_variant(variant)
        drop_forwarded(variant)
        before = saved(variant)
    space = node.container(2)
    numbers = range(2, 2 + MANY)
    add_ports(range(3, 2 + 2 * MANY))
    at_once(node, (("ADD", n) for n in numbers), space)
    assert attached(variant) == {f"10.1.0.{n}" for n in numbers}
    half = range(2, 2 + MANY // 2)
    later = range(2 + MANY, 2 + 2 * MANY)
    mixed = [("DEL", n) for n in half] + [("ADD", n) for n in later]
    at_once(node, mixed, space)
    there = [*range(2 + MANY // 2, 2 + 2 * MANY)]
    assert attached(variant) == {f"10.1.0.{n}" for n in there}
    at_once(node, (("DEL", n) for n in there), space)
    if variant:
        assert saved(variant) == before
    else:
        assert nft_objects("ruleset") == []
    assert left() == []
