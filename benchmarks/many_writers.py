# SPDX-License-Identifier: Apache-2.0
"""Many writers on one pool: is an address given twice, is one lost, how many a second.

    python -m benchmarks.many_writers [--calls CALLS] [--writers WRITERS]
        [--nodes NODES] [--directory PATH]

WRITERS (32) processes on NODES (8) make CALLS (40,000) ADD and DEL of cluster-pool, in
processes that have imported it; 5 % of the calls are killed at any time. Printed is
what became of the leases, after GC too, and the calls a second. Then the same without
anybody killed. All files lie below PATH; it exits 1 if an address was given twice,
is lost or leaked.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.pool_writers import Outcome, run

_SHARE = 0.05
_BLOCKS = 128


def main() -> int:
    """Measure with killed calls, and without."""
    parser = argparse.ArgumentParser(prog="benchmarks.many_writers")
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--directory", help="where the files are to lie")
    asked = parser.parse_args()
    sound = True
    for share in (_SHARE, 0.0):
        with tempfile.TemporaryDirectory(dir=asked.directory) as room:
            outcome = run(
                Path(room),
                nodes=asked.nodes,
                writers=asked.writers,
                calls=asked.calls,
                share=share,
                blocks=_BLOCKS,
            )
        tell(outcome)
        wrong = outcome.twice + outcome.outside + outcome.lost + outcome.leaked
        sound = sound and not wrong and not outcome.refused
    return 0 if sound else 1


def tell(outcome: Outcome) -> None:
    """Print an outcome."""
    rate = outcome.calls / outcome.seconds
    print(f"{outcome.calls} ADD and DEL, {outcome.killed} of them killed, ", end="")
    print(f"{outcome.blocks} blocks: {rate:.0f} calls a second, ", end="")
    print(f"{1000 * outcome.cpu / outcome.calls:.2f} ms of CPU each")
    print(f"  given twice {outcome.twice}, of no block {outcome.outside}, ", end="")
    print(f"lost {outcome.lost}, refused {len(outcome.refused)}")
    print(f"  of the dead before GC {outcome.before_gc}, after {outcome.leaked}")
    for text in outcome.refused[:3]:
        print(f"  {text}")


if __name__ == "__main__":
    sys.exit(main())
