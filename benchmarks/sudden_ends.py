# SPDX-License-Identifier: Apache-2.0
"""Agents, the publisher and members of etcd, killed at any instant.

    python -m benchmarks.sudden_ends [KILLS]

Three nodes with real agents on an etcd of three members. KILLS (100) times, in turn: an
agent, the one that publishes, a member of the etcd ends by SIGKILL after a random time
up to 0.3 s, while each node has ADD and DEL going on; it is started again. After each
kill routes and nexthops are compared with what the nodes have: none may be lost or
twice. No address may be given twice. It exits 1 otherwise.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import agents
from benchmarks.agents import Calls, Ledger, told, unlike, wait_until, ways

if TYPE_CHECKING:
    from netns.net.machines import Lan, Node

_NODES, _LATEST = 3, 0.3


def main() -> int:
    """Measure, and print."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    wrong, victims, ledger = list[str](), Counter[str](), Ledger()
    with ExitStack() as stack:
        lan = stack.enter_context(agents.running(members=3))
        nodes = stack.enter_context(agents.network(lan, _NODES))
        calls = [Calls(each, ledger) for each in nodes]
        pings = agents.ring(nodes)
        try:
            for number in range(kills):
                before = [_destinations(each) for each in nodes]
                victims[_kill(lan, nodes, number)] += 1
                for each, had in zip(nodes, before, strict=True):
                    gone = had - _destinations(each)
                    wrong += [f"{each.name} lost {dst}" for dst in gone]
                wrong += _settled(nodes)
        finally:
            for each in calls:
                each.end()
        wait_until(lambda: not any(told(each)["faults"] for each in nodes), 60)
        wrong += _settled(nodes)
        ledger.compare(nodes)
        counts = [each.end() for each in pings]
    sent, answered = (sum(each) for each in zip(*counts, strict=True))
    print(f"{dict(victims)} killed; {sum(each.added for each in calls)} ADD, ", end="")
    print(f"{sum(len(each.refused) for each in calls)} refused")
    print(f"  routes or nexthops lost or doubled: {len(wrong)}, ", end="")
    print(
        f"addresses twice: {len(ledger.twice)}, without a lease: {len(ledger.lost)}, ",
        end="",
    )
    print(f"echo requests lost: {sent - answered} of {sent}")
    refused = [text for each in calls for text in each.refused]
    for text in (*refused[:2], *wrong[:3], *ledger.twice[:3], *ledger.lost[:3]):
        print(f"  {text}")
    return 1 if wrong or ledger.twice or ledger.lost or sent != answered else 0


def _kill(lan: Lan, nodes: list[Node], number: int) -> str:
    """End one by SIGKILL and have it again; return what it was."""
    what = ("agent", "publisher", "etcd")[number % 3]
    victim = random.choice(nodes)  # noqa: S311 - no secret
    if what == "publisher":
        wait_until(lambda: _publishing(nodes), 60)
        victim = _publishing(nodes)[0]
    time.sleep(random.uniform(0, _LATEST))  # noqa: S311 - no secret
    if what == "etcd":
        member = random.randrange(lan.members)  # noqa: S311 - no secret
        lan.stop_etcd(member)
        time.sleep(random.uniform(0, _LATEST))  # noqa: S311 - no secret
        lan.start_etcd(member)
    else:
        victim.stop(signal.SIGKILL)
        victim.start()
    return what


def _publishing(nodes: list[Node]) -> list[Node]:
    return [each for each in nodes if told(each).get("publishes")]


def _destinations(node: Node) -> set[str]:
    found = [route["dst"] for route in ways(node)]
    assert len({*found}) == len(found), found
    return {*found}


def _settled(nodes: list[Node]) -> list[str]:
    """Return what is not as it is to be, though blocks that are new had their time."""
    until = time.monotonic() + 40
    while (found := unlike(nodes)) and time.monotonic() < until:
        time.sleep(0.2)
    return found


if __name__ == "__main__":
    sys.exit(main())
