# SPDX-License-Identifier: Apache-2.0
"""Two nodes with agents in one network, `apps`, and what is to be seen of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from netns.net.machines import wait_until

if TYPE_CHECKING:
    from netns.net.machines import Lan, Node

CONFIG, HEAD, SNAPSHOT = (
    f"/cnipy/v1/apps/{each}" for each in ("config", "head", "snapshot")
)
POOL = ("--pool", "10.64.0.0/16", "--block", "29")


def joined(lan: Lan, *words: str) -> list[Node]:
    """Return two nodes with an agent and a container each, `web` and `db`."""
    found = [lan.node(number) for number in (11, 12)]
    found[0].ok("net", "create", "apps", *POOL, "--backend", "host-gw", *words)
    for each in found:
        each.start()
        each.ok("net", "join", "apps")
    found[0].container("apps", "web")
    found[1].container("apps", "db")
    wait_until(lambda: all(len(ways(each)) >= 2 for each in found), 40)
    return found


def ways(node: Node) -> dict[str, str]:
    """Return the routes to blocks of other nodes, each there once."""
    return {
        dst: line
        for dst, line in node.routes().items()
        if dst.startswith("10.64.") and "via 192.0.2." in line
    }


def status(node: Node) -> Any:
    """Return what a node says of itself, well or not."""
    return json.loads(node.cnipy("net", "status", "--json")[1])


def network(node: Node) -> Any:
    """Return what a node says of the network."""
    (found,) = status(node)["networks"]
    return found


def are_well(nodes: list[Node]) -> bool:
    """Tell whether nothing is wrong on any of them."""
    return all(not network(each)["faults"] for each in nodes)


def address(node: Node, name: str) -> str:
    """Return the address of a container."""
    told = node.run(
        "ip", "netns", "exec", name, "ip", "-4", "-o", "addr", "show", "eth0"
    )
    return told.split()[3].partition("/")[0]


def talk(pair: list[Node]) -> bool:
    """Tell whether the two containers reach each other."""
    one, other = pair
    there = one.reaches(address(other, "db"), by="web")
    return there and other.reaches(address(one, "web"), by="db")


def run_on(nodes: list[Node]) -> bool:
    """Tell whether all agents are those that were started."""
    return all(each.agent and each.agent.poll() is None for each in nodes)
