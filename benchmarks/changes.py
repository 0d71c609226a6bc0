# SPDX-License-Identifier: Apache-2.0
"""What `cnipy publish` on a container that runs costs, cold and by the warm server.

    python -m benchmarks.changes [COUNT]

On a node of its own COUNT (10) containers are attached by bridge and portmap. Printed
is the wall time of 30 calls each of `publish` and `unpublish`, the best and the middle:
of the script without a server, and of the small client with one.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.repair import BIN, of_own_node
from launcher.client import SOCKET

_REPEATED = 30
_CLIENT = BIN.parent / "client" / platform.machine() / "cnipy"
_LIST = {
    "cniVersion": "1.0.0",
    "name": "n",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "br0",
            "isGateway": True,
            "ipam": {"type": "host-local", "subnet": "10.9.0.0/16"},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


def main() -> None:
    """Have a node, and measure there."""
    count = of_own_node("benchmarks.changes", 10)
    lists = Path("/run/net.d")
    lists.mkdir()
    (lists / "n.conflist").write_text(json.dumps(_LIST))
    env = os.environ | {"CNI_PATH": str(BIN), "NETCONFPATH": str(lists)}
    for number in range(count):
        subprocess.run(["ip", "netns", "add", f"c{number}"], check=True)
        call(BIN / "cnipy", env, "add", "n", f"c{number}")
    call(BIN / "cnipy", env, "publish", "c0", "8080:80")
    measured("cold", BIN / "cnipy", env)
    server = subprocess.Popen([BIN / "cnipy", "serve"])
    try:
        while not Path(SOCKET).is_socket():
            time.sleep(0.1)
        measured("small client, warm", _CLIENT, env)
    finally:
        server.terminate()
        server.wait()


def measured(what: str, command: Path, env: dict[str, str]) -> None:
    """Print what both verbs take."""
    taken: dict[str, list[float]] = {"publish": [], "unpublish": []}
    for _ in range(_REPEATED):
        taken["publish"].append(call(command, env, "publish", "c0", "9090:80"))
        taken["unpublish"].append(call(command, env, "unpublish", "c0", "9090"))
    for verb, times in taken.items():
        best, middle = min(times), statistics.median(times)
        sys.stdout.write(
            f"{what}: {verb}: best {best:.1f} ms, middle {middle:.1f} ms\n"
        )


def call(command: Path, env: dict[str, str], *words: str) -> float:
    """Return how many milliseconds a call takes, which must succeed."""
    began = time.perf_counter()
    subprocess.run([command, *words], env=env, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
