# SPDX-License-Identifier: Apache-2.0
"""What looking at a node costs: `cnipy ls`, `show`, `why` and more, each a cold start.

    python -m benchmarks.verbs [COUNT]

On a node of its own COUNT (1000) containers are attached by bridge, portmap with a
port each, and firewall, and have results in the cache. Printed are CPU and wall time of
each verb, the best of five, as text and as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from benchmarks import conf
from benchmarks.repair import BIN, attach, of_own_node
from cnipy.attachment import Attachment
from cnipy.cache import Cache
from cnipy.network import read

_VERBS = (
    ["ls"],
    ["show"],
    ["show", conf.NETWORK],
    ["ports"],
    ["why", "n0", "n1"],
    ["doctor"],
)
_REPEATED = 5


def main() -> None:
    """Have a node, and measure there."""
    count = of_own_node("benchmarks.verbs", 1000)
    lists = Path("/run/net.d")
    lists.mkdir()
    file = lists / "bench.conflist"
    file.write_text(json.dumps(conf.chain()))
    attach(count)
    network, cache = read(str(file)), Cache()
    for number in range(count):
        name, pod = f"n{number}", ("K8S_POD_NAME", f"pod{number}")
        at = Attachment(name, f"/run/netns/{name}", "eth0", (pod,))
        cache.write(network, at, {"cniVersion": conf.VERSION})
    for words in _VERBS:
        for form in ((), ("--json",)):
            measured(*words, *form)


def measured(*words: str) -> None:
    """Print what a verb costs that is started cold."""
    walls, costs, lines = [], [], 0
    env = {**os.environ, "NETCONFPATH": "/run/net.d", "CNI_PATH": str(BIN)}
    for _ in range(_REPEATED):
        started, before = time.monotonic(), os.times()
        done = subprocess.run(
            [str(BIN / "cnipy"), *words], stdout=subprocess.PIPE, env=env, check=True
        )
        walls.append(time.monotonic() - started)
        costs.append(sum(os.times()[2:4]) - sum(before[2:4]))
        lines = done.stdout.count(b"\n")
    cost = f"{min(costs):.2f} s of CPU, {min(walls):.2f} s"
    print(f"cnipy {' '.join(words)}: {cost}, {lines} lines", flush=True)


if __name__ == "__main__":
    main()
