# SPDX-License-Identifier: Apache-2.0
"""libnftables ends the process where it gets no socket: the call still answers."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lab import need, nft_objects
from netns.kernel.seccomp import refusing
from warm_server import BRIDGE, environment, wait_until, waiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Host

# socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER): Python's own have SOCK_CLOEXEC, too.
OF_THE_LIBRARY = ((0, 16), (1, 3), (2, 12))


def call(
    plugin: Path, verb: str, conf: dict[str, Any], **env: str
) -> tuple[int, bytes]:
    """Return exit status and stdout of a call."""
    ended = subprocess.run(
        [plugin],
        input=json.dumps(conf).encode(),
        env={"CNI_COMMAND": verb, "CNI_PATH": str(plugin.parent), **env},
        capture_output=True,
        check=False,
        timeout=60,
    )
    return ended.returncode, ended.stdout


def require_told(status: int, stdout: bytes) -> None:
    """Require the one document that says what happened."""
    document = json.loads(stdout)
    assert (status, document["code"], document["cniVersion"]) == (1, 11, "1.1.0")
    assert document["msg"].endswith(": libnftables ended the process")
    assert document["details"].startswith("call DEL, then try again; in tra")


def test_cold_call_ends_with_one_document(host: Host, plugin_dir: Path) -> None:
    """ADD and DEL say what happened; the next DEL leaves nothing."""
    env = environment(host.space()) | {"CNI_PATH": str(plugin_dir)}
    bridge = plugin_dir / "bridge"
    before = {*os.listdir("/proc/sys/net/ipv4/conf")}
    answers: list[tuple[int, bytes]] = []

    def refused() -> None:
        answers.append(call(bridge, "ADD", BRIDGE, **env))
        answers.append(call(bridge, "DEL", BRIDGE, **env))

    assert refusing("socket", errno.ENOBUFS, refused, *OF_THE_LIBRARY) is None
    for answer in answers:
        require_told(*answer)
    assert call(bridge, "DEL", BRIDGE, **env) == (0, b"")
    assert nft_objects("ruleset") == []
    assert {*os.listdir("/proc/sys/net/ipv4/conf")} == before | {"br0"}


@contextmanager
def traced(
    server: subprocess.Popen[bytes], report: Path, *options: str
) -> Iterator[None]:
    """Have strace(1) watch the sockets of all children that wait, inside the block."""
    wait_until(lambda: len(waiting(server)) > 1)
    pids = [word for pid in waiting(server) for word in ("-p", str(pid))]
    words = [need("strace"), "-o", str(report), "-e", "trace=socket", *options, *pids]
    strace = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert strace.stderr
    for _ in pids[::2]:
        assert "attached" in strace.stderr.readline()
    try:
        yield
    finally:
        strace.terminate()
        strace.communicate()


def test_warm_call_ends_with_one_document(
    warm: subprocess.Popen[bytes], plugin_dir: Path, tmp_path: Path
) -> None:
    """STATUS says what happened, and nothing else; the server goes on."""
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "firewall"}
    firewall, report = plugin_dir / "firewall", tmp_path / "report"
    with traced(warm, report):
        assert call(firewall, "STATUS", conf) == (0, b"")
    asked = [line for line in report.read_text().splitlines() if "socket(" in line]
    opened = [n for n, line in enumerate(asked, 1) if "SOCK_CLOEXEC" not in line]
    failing = f"inject=socket:error=ENOBUFS:when={opened[0]}"
    with traced(warm, report, "-e", failing):
        require_told(*call(firewall, "STATUS", conf))
    assert call(firewall, "STATUS", conf) == (0, b"")
    assert warm.poll() is None
