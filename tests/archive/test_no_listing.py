# SPDX-License-Identifier: Apache-2.0
"""ADD and DEL ask the kernel for no list that grows with the number of containers."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from lab import need, run

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host

# As strace shows them, by name or, on a socket it has not seen opened, by number.
LINKS = r"RTM_GETLINK|0x12 "
ELEMENTS = r"NFT_MSG_GETSETELEM|0xa0d "
# Before any change of elements libnftables reads sets of ranges. portmap's hold what
# lies between the addresses of the host, firewall's a pool or two a network of many
# nodes, and neither anything of containers.
RANGES = tuple(
    "".join(f"\\x{byte:02x}" for byte in name)
    for name in (b"excluded4", b"excluded6", b"pools4", b"pools6")
)
DUMP = r"NLM_F_DUMP|0x300|0x301"
CHAIN = [
    {
        "type": "bridge",
        "bridge": "br0",
        "isGateway": True,
        "ipMasq": True,
        "macspoofchk": True,
        "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
    },
    {"type": "portmap", "capabilities": {"portMappings": True}},
    {"type": "firewall", "backend": "nftables", "ingressPolicy": "same-bridge"},
    {"type": "tuning", "mtu": 1400},
    {"type": "bandwidth", "ingressRate": 800000, "ingressBurst": 800000},
]
PORTS = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}


def dumps(trace: str, kind: str) -> list[str]:
    """Return the requests in `trace` for all objects of a kind."""
    request = re.compile(
        rf"nlmsg_type=[^,]*(?:{kind})[^,]*, nlmsg_flags=[^,]*(?:{DUMP})"
    )
    return [line for line in trace.splitlines() if request.search(line)]


@pytest.mark.parametrize("number", [1, 2])
def test_chain_lists_neither_links_nor_elements(
    host: Host, packed: Path, plugin_dir: Path, tmp_path: Path, number: int
) -> None:
    """A node's first container and a later one are attached and detached by name."""
    need("strace")
    spaces = [host.space() for _ in range(number)]
    conflist = {"cniVersion": "1.0.0", "name": "n", "plugins": CHAIN}
    (tmp_path / "net.d").mkdir()
    (tmp_path / "net.d/10-n.conflist").write_text(json.dumps(conflist))
    env = {
        "PATH": os.environ["PATH"],
        "CNI_PATH": str(plugin_dir),
        "NETCONFPATH": str(tmp_path / "net.d"),
    }
    for space in spaces[:-1]:
        run(str(packed), "add", "n", space.path, env=env)
    trace = tmp_path / "trace"
    watched = ("--seccomp-bpf", "-e", "trace=sendto,sendmsg", "-o", str(trace))
    for verb in ("add", "del"):
        run(
            *("strace", "-f", "-qq", *watched, str(packed), verb, "n", spaces[-1].path),
            env=env | {"CAP_ARGS": json.dumps(PORTS)},
        )
        text = trace.read_text()
        assert "nlmsg_type=" in text
        assert dumps(text, LINKS) == []
        # The last one's DEL looks for rules of the administrator, among elements that
        # are all its own.
        if number > 1:
            listed = dumps(text, ELEMENTS)
            assert [line for line in listed if not any(r in line for r in RANGES)] == []
