# SPDX-License-Identifier: Apache-2.0
"""Nodes that are cut off from the store, with ADD and DEL going on at all of them.

    python -m benchmarks.partitions [ROUNDS] [SECONDS]

Three nodes with real agents. ROUNDS (3) times one of them, another each time, has all
packets to and from the etcd dropped for SECONDS (60), in silence, while every node has
ADD and DEL going on. At the end GC is told who lives. It exits 1 if an address was
given twice, one of the living has no lease, or one of the dead has, after GC.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import agents
from benchmarks.agents import ETCD, NETWORK, Calls, Ledger, told, unlike, wait_until

if TYPE_CHECKING:
    from netns.net.machines import Node

_NODES = 3
_DROP = (
    "table inet cut {"
    + "".join(
        f"chain {hook} {{ type filter hook {hook} priority 0; ip {end} {ETCD} drop; }}"
        for hook, end in (("output", "daddr"), ("input", "saddr"))
    )
    + "}"
)


def main() -> int:
    """Measure, and print."""
    rounds, seconds, *_ = [*map(int, sys.argv[1:]), *(3, 60)[len(sys.argv) - 1 :]]
    wrong, ledger, faults = list[str](), Ledger(), 0
    with ExitStack() as stack:
        lan = stack.enter_context(agents.running())
        nodes = stack.enter_context(agents.network(lan, _NODES))
        pings = agents.ring(nodes)
        calls = [Calls(each, ledger) for each in nodes]
        try:
            for number in range(rounds):
                node = nodes[number % _NODES]
                node.run("nft", "-f", "-", input=_DROP)
                time.sleep(seconds)
                faults += bool(told(node)["faults"])
                node.run("nft", "delete", "table", "inet", "cut")
                wait_until(lambda n=node: not told(n)["faults"], 60)
        finally:
            for each in calls:
                each.end()
        wait_until(lambda: not unlike(nodes), 60)
        counts = [each.end() for each in pings]
        for node in nodes:
            node.ok("gc", NETWORK)
        ledger.compare(nodes)
        wrong += _of_the_dead(nodes)
    sent, answered = (sum(each) for each in zip(*counts, strict=True))
    refused = [text for each in calls for text in each.refused]
    print(f"{rounds} times {seconds} s, noticed {faults} times: ", end="")
    print(f"{sum(each.added for each in calls)} ADD, {len(refused)} refused; ", end="")
    print(f"addresses twice {len(ledger.twice)}, lost {len(ledger.lost)}, ", end="")
    print(f"of the dead after GC {len(wrong)}; ", end="")
    print(f"echo requests lost {sent - answered} of {sent}")
    for text in (*refused[:2], *ledger.twice[:3], *ledger.lost[:3], *wrong[:3]):
        print(f"  {text}")
    bad = ledger.twice or ledger.lost or wrong or sent != answered or faults != rounds
    return 1 if bad else 0


def _of_the_dead(nodes: list[Node]) -> list[str]:
    """Return leases that no container's link has."""
    found = []
    for node in nodes:
        links = [
            link
            for line in node.run("ip", "netns", "list").splitlines()
            for link in node.json("ip", "-n", line.split()[0], "-j", "addr", "show")
        ]
        there = {info["local"] for link in links for info in link["addr_info"]}
        leases = node.run("ls", f"/var/lib/cni/networks/{NETWORK}").split()
        named = [each.replace("_", ":") for each in leases]
        found += [each for each in named if each[0].isdigit() and each not in there]
    return found


if __name__ == "__main__":
    sys.exit(main())
