# SPDX-License-Identifier: Apache-2.0
"""What `cnipy repair` costs after `nft flush ruleset`, in a process that is warm.

    python -m benchmarks.repair [COUNT]

On a node of its own COUNT (1000) containers are attached by bridge, portmap with a
port each, and firewall. Printed are CPU and wall time of a repair that finds nothing,
and of one after the flush.
"""

from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import conf
from cni_common.kernel import nft
from launcher.main import main as call

if TYPE_CHECKING:
    from collections.abc import Callable

BIN = Path(__file__).parents[1] / "dist" / "bin"
_INSIDE = "--inside"
_START = """\
mkdir -p /var/lib/cni && mount -t tmpfs tmpfs /var/lib/cni &&
mount -t tmpfs tmpfs /run && mkdir -p /run/netns /run/lock && ip link set lo up || exit
exec "$@"
"""
_FIRST_PORT = 1024


def of_own_node(module: str, usual: int) -> int:
    """Have `module` go on with a node of its own; return how many it is to attach."""
    arguments = sys.argv[1:]
    if _INSIDE not in arguments:
        own = [sys.executable, "-m", module, _INSIDE, *arguments]
        words = ["unshare", "-n", "-m", "--propagation", "private"]
        raise SystemExit(subprocess.call([*words, "/bin/sh", "-c", _START, "sh", *own]))
    return int(arguments[1]) if len(arguments) > 1 else usual


def main() -> None:
    """Have a node, and measure there."""
    count = of_own_node("benchmarks.repair", 1000)
    attach(count)
    gc.collect()
    gc.disable()  # as launcher/main.py has it
    measured("nothing is missing, cold", repair)
    measured("nothing is missing", repair)
    for _ in range(3):
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        measured("after `nft flush ruleset`", repair)


def attach(count: int) -> None:
    """`count` containers are attached, as a runtime would have it."""
    names = [f"n{number}" for number in range(count)]
    text = "".join(f"netns add {name}\n" for name in names)
    subprocess.run(["ip", "-batch", "-"], input=text, text=True, check=True)
    for number, name in enumerate(names):
        result = plugin(name, conf.bridge(), None)
        result = plugin(name, conf.portmap(_FIRST_PORT + number), result)
        plugin(name, {"type": "firewall"}, result)


def plugin(name: str, keys: dict[str, Any], previous: Any) -> Any:
    """Return the result of ADD by a plugin of the suite, called in this process."""
    env = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": name,
        "CNI_NETNS": f"/run/netns/{name}",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": str(BIN),
    }
    stdin = io.BytesIO(json.dumps(conf.single(keys, previous)).encode())
    stdout, path = io.BytesIO(), str(BIN / keys["type"])
    if call([path], env, stdin, stdout, sys.stderr) != 0:
        raise SystemExit(f"{keys['type']}: {stdout.getvalue().decode()}")
    nft.release()
    return json.loads(stdout.getvalue())


def repair() -> int:
    """Run the command in this process; return how many lines it printed."""
    stdout = io.BytesIO()
    argv = [str(BIN / "cnipy"), "repair"]
    if call(argv, os.environ, io.BytesIO(), stdout, sys.stderr) != 0:
        raise SystemExit(stdout.getvalue().decode())
    return stdout.getvalue().count(b"\n")


def measured(what: str, work: Callable[[], int]) -> None:
    """Print what `work` costs."""
    wall, cpu = time.monotonic(), time.process_time()
    lines = work()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    print(f"{what}: {cpu:.2f} s of CPU, {wall:.2f} s, {lines} lines", flush=True)


if __name__ == "__main__":
    main()
