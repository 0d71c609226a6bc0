# SPDX-License-Identifier: Apache-2.0
"""What not every kernel has, found by asking the one that runs.

A test marked `needs_kernel("sctp")` runs where the kernel has it. Elsewhere it is
skipped with that reason; in continuous integration, which runs it in a virtual machine
with Debian's kernel (CNI_TESTS_ELSEWHERE names the series), it is left out instead.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache

import pytest
from lab import lacking

ELSEWHERE = os.environ.get("CNI_TESTS_ELSEWHERE", "")
_PAIR = "ip link add probe0 type veth peer probe1"
# Feature -> shell commands that succeed where the kernel has it.
PROBES = {
    "vlan_filtering": "ip link add probe0 type bridge vlan_filtering 1",
    "802.1q": f"{_PAIR} && ip link add link probe0 probe2 type vlan id 5",
    "ipvlan": f"{_PAIR} && ip link add link probe0 probe2 type ipvlan mode l2",
    "vrf": "ip link add probe0 type vrf table 100",
    "tap": "ip tuntap add probe0 mode tap",
    "wireguard": "ip link add probe0 type wireguard",
    "vnifilter": (
        "ip link add probe0 type vxlan dstport 4790 external vnifilter"
        " && ip -d link show probe0 | grep -q vnifilter"
    ),
    "dummy": "ip link add probe0 type dummy",
    "sctp": (
        "python3 -c 'from socket import *; socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)'"
    ),
}


@cache
def has(feature: str) -> bool:
    """Tell whether the running kernel has `feature`, a key of PROBES."""
    command = ("unshare", "-n", "/bin/sh", "-c", PROBES[feature])
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def missing(item: pytest.Item) -> str:
    """Return the first feature that a test needs and this kernel lacks, or ""."""
    for marker in item.iter_markers("needs_kernel"):
        for feature in marker.args:
            if not has(feature):
                return str(feature)
    return ""


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where another kernel runs what this one cannot, have that no part of this run."""
    if not ELSEWHERE:
        return
    unable = [item for item in items if missing(item)]
    if unable:
        config.hook.pytest_deselected(items=unable)
        items[:] = [item for item in items if item not in set(unable)]


def check_marks(items: list[pytest.Item]) -> None:
    """Raise UsageError for a `thorough` test that needs no kernel: it always runs."""
    for item in items:
        if item.get_closest_marker("thorough") and not any(
            item.iter_markers("needs_kernel")
        ):
            msg = f"{item.nodeid} is `thorough`, and needs no kernel"
            raise pytest.UsageError(msg)


def require(item: pytest.Item) -> None:
    """Skip a test that this kernel cannot run, or fail it under strictness."""
    feature = missing(item)
    if feature:
        lacking(f"this kernel has no {feature}; ./build.sh test --kernel 6.1 runs it")
