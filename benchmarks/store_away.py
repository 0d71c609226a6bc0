# SPDX-License-Identifier: Apache-2.0
"""Packets lost between containers while the store is away and agents are killed.

    python -m benchmarks.store_away [MINUTES] [BACKEND]

Three nodes have a container each, and each asks the next by both families, ten times a
second. The etcd is killed and away for MINUTES (20); meanwhile one agent after another
is killed by SIGKILL, every 5 s, and started again. Then etcd is there again. It exits 1
if an echo request was not answered, or if a route is lost or doubled at any time.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack

from benchmarks import agents
from benchmarks.agents import told, unlike, wait_until

_NODES = 3
_EVERY = 5.0  # seconds between two kills


def main() -> int:
    """Measure, and print."""
    minutes, backend, *_ = [*sys.argv[1:], *("20", "gpe")[len(sys.argv) - 1 :]]
    with ExitStack() as stack:
        lan = stack.enter_context(agents.running())
        nodes = stack.enter_context(agents.network(lan, _NODES, "--backend", backend))
        pings = agents.ring(nodes)
        lan.stop_etcd()
        began = time.monotonic()
        kills, wrong = 0, list[str]()
        while time.monotonic() - began < float(minutes) * 60:
            node = nodes[kills % _NODES]
            node.stop(signal.SIGKILL)
            wrong += unlike(nodes)
            node.start()
            kills += 1
            time.sleep(_EVERY)
            wrong += unlike(nodes)
        away = time.monotonic() - began
        lan.start_etcd()
        wait_until(lambda: not any(told(each)["faults"] for each in nodes), 60)
        wrong += unlike(nodes)
        counts = [each.end() for each in pings]
    sent, answered = (sum(each) for each in zip(*counts, strict=True))
    print(
        f"{backend}: the store was away for {away / 60:.1f} minutes, {kills} agents ",
        end="",
    )
    print(f"were killed: {sent} echo requests, {sent - answered} lost; ", end="")
    print(f"routes or nexthops lost or doubled: {len(wrong)}")
    for text in wrong[:3]:
        print(f"  {text}")
    return 1 if wrong or sent != answered else 0


if __name__ == "__main__":
    sys.exit(main())
