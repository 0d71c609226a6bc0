# SPDX-License-Identifier: Apache-2.0
"""cluster-pool as runtimes call it: the packed file, in processes that are killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from pool_agent import agent

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host

LEASES = "/var/lib/cni/networks/apps"
WRITERS, ROUNDS = 6, 4
CONF = {
    "cniVersion": "1.1.0",
    "name": "apps",
    "type": "bridge",
    "ipam": {"type": "cluster-pool"},
}


def call(
    plugin: Path, verb: str, container: str, seconds: float | None = None, **keys: Any
) -> Any:
    """Return the document of a call; None if it was killed after so many seconds."""
    env = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": container,
        "CNI_IFNAME": "eth0",
        "CNI_NETNS": "/run/netns/absent",
        "CNI_PATH": str(plugin.parent),
        "PATH": os.environ["PATH"],
    }
    text = json.dumps({**CONF, **keys}).encode()
    with subprocess.Popen(
        [plugin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    ) as process:
        try:
            stdout = process.communicate(text, timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return None
    assert process.returncode == 0, stdout
    return json.loads(stdout or b"{}")


def leased() -> set[str]:
    """Return the addresses that there is a file of."""
    names = {name for name in os.listdir(LEASES) if name[0].isalnum()}
    return {name for name in names if name != "lock" and not name.startswith("last")}


def test_killed_calls_leave_nothing_behind_gc(host: Host, plugin_dir: Path) -> None:
    """Of calls at once, some of which are killed, the living have what they got."""
    del host
    plugin = plugin_dir / "cluster-pool"

    def work(number: int) -> dict[str, set[str]]:
        dice = random.Random(number)
        living: dict[str, set[str]] = {}
        for turn in range(ROUNDS):
            container = f"w{number}-{turn}"
            limit = dice.uniform(0.02, 0.3) if turn % 3 == 2 else None
            result = call(plugin, "ADD", container, limit)
            if result is not None:
                found = {ip["address"].partition("/")[0] for ip in result["ips"]}
                living[container] = found
            if turn == 1:
                del living[f"w{number}-0"]
                call(plugin, "DEL", f"w{number}-0", dice.choice([None, 0.05]))
        return living

    with agent("apps", {"10.64.0.0/16": 29, "fd00:64::/48": 125}):
        with ThreadPoolExecutor(WRITERS) as pool:
            found = {
                c: own
                for one in pool.map(work, range(WRITERS))
                for c, own in one.items()
            }
        valid = [{"containerID": each, "ifname": "eth0"} for each in found]
        call(plugin, "GC", "gc", **{"cni.dev/valid-attachments": valid})
    given = [address for own in found.values() for address in own]
    assert len(given) == len(set(given)) == 2 * len(found)
    assert leased() == set(given)
    assert {ip_address(each).version for each in given} == {4, 6}
