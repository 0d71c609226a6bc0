# SPDX-License-Identifier: Apache-2.0
"""ADD of bridge asks rtnetlink little: what can be sent together is, nothing twice."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from lab import need, run

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host

FIRST, FURTHER = 14, 10  # requests
NETWORK = {
    "cniVersion": "1.1.0",
    "name": "n",
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": {
        "type": "host-local",
        "subnet": "10.9.0.0/24",
        "routes": [{"dst": "0.0.0.0/0"}],
    },
}
OPENED = re.compile(r"socket\(AF_NETLINK, [^)]*, (\w+)\) = (\d+)")
SENT = re.compile(r"send(?:to|msg)\((\d+), ")


def requests(trace: str) -> int:
    """Return how often something was sent to rtnetlink, as strace saw it."""
    kinds: dict[str, str] = {}
    count = 0
    for line in trace.splitlines():
        if opened := OPENED.search(line):
            kinds[opened[2]] = opened[1]
        elif sent := SENT.search(line):
            count += kinds.get(sent[1]) == "NETLINK_ROUTE"
    return count


def test_requests_of_a_bridge_add(host: Host, plugin_dir: Path, tmp_path: Path) -> None:
    """The first container of a node needs a few more than each further one."""
    need("strace")
    trace = tmp_path / "trace"
    counts = []
    for number in range(3):
        env = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": f"c{number}",
            "CNI_NETNS": host.space().path,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(plugin_dir),
        }
        run(
            *("strace", "-f", "-qq", "-e", "trace=socket,sendto,sendmsg"),
            *("-o", str(trace), str(plugin_dir / "bridge")),
            input=json.dumps(NETWORK),
            env=env,
        )
        counts.append(requests(trace.read_text()))
    assert counts[0] in range(1, FIRST + 1)
    assert counts[1] == counts[2]
    assert counts[2] in range(1, FURTHER + 1)
