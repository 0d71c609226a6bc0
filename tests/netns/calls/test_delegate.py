# SPDX-License-Identifier: Apache-2.0
"""bridge with host-local, called in process or executed: the same comes of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lab import Cni, Host, Space

TOP = Path(__file__).parents[3]
RANGES = [[{"subnet": "10.77.0.0/24"}]]
CONF: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "n",
    "type": "bridge",
    "bridge": "br0",
    "ipam": {"type": "host-local", "ranges": RANGES},
}


@pytest.fixture
def executable(tmp_path: Path) -> str:
    """A directory with a host-local that is a program of its own."""
    start = (
        f"import sys; sys.path[:0] = {[str(TOP), *sys.path]!r};"
        "from launcher.main import run; run(['host-local'])"
    )
    file = tmp_path / "host-local"
    file.write_text(f"#!{sys.executable} -I\n{start}\n")
    file.chmod(0o755)
    return str(tmp_path)


def leases() -> list[str]:
    """Return the addresses that host-local has written down."""
    directory = "/var/lib/cni/networks/n"
    found = os.listdir(directory) if os.path.isdir(directory) else []
    return sorted(name for name in found if name.startswith("10."))


def test_executed_delegate_gives_the_same(
    cni: Cni, container: Space, executable: str
) -> None:
    """In process and as a program, host-local gives the same result and lease."""
    results = []
    for in_process in (True, False):
        path = None if in_process else executable
        options: dict[str, Any] = {"netns": container, "in_process": in_process}
        result = cni.ok("bridge", "ADD", CONF, path=path, **options)
        results.append((result["ips"], result.get("routes"), leases()))
        held = {"cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]}
        cni.ok("bridge", "GC", CONF | held, path=path, **options)
        cni.ok("bridge", "STATUS", CONF, path=path, **options)
        previous = CONF | {"prevResult": result}
        cni.ok("bridge", "CHECK", previous, path=path, **options)
        assert leases() == results[-1][2]
        cni.ok("bridge", "DEL", previous, path=path, **options)
        assert leases() == []
    first, second = results
    assert [ip["gateway"] for ip in first[0]] == ["10.77.0.1"]
    assert first[1:2] == second[1:2]
    assert [ip["interface"] for ip in second[0]] == [2]


def test_error_of_an_executed_delegate_is_passed_on(
    cni: Cni, host: Host, executable: str
) -> None:
    """Code and message of the program are those of the whole."""
    full = [[{"subnet": "10.77.0.0/24", "rangeStart": "10.77.0.5"}]]
    full[0][0]["rangeEnd"] = "10.77.0.5"
    conf = CONF | {"ipam": {"type": "host-local", "ranges": full}}
    cni.ok("bridge", "ADD", conf, netns=host.space())
    options: dict[str, Any] = {"netns": host.space(), "container_id": "c2"}
    answers = [
        cni.refused(
            "bridge", "ADD", conf, path=path, in_process=path is None, **options
        )
        for path in (None, executable)
    ]
    assert answers[0] == answers[1]
    assert leases() == ["10.77.0.5"]


def test_failed_add_gives_the_lease_back(
    cni: Cni, container: Space, executable: str
) -> None:
    """What a program leased before a later step failed is released by it."""
    container.run("ip", "link", "add", "eth0", "type", "bridge")
    options: dict[str, Any] = {"netns": container, "in_process": False}
    cni.refused("bridge", "ADD", CONF, path=executable, **options)
    assert leases() == []
