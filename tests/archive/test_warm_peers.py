# SPDX-License-Identifier: Apache-2.0
"""A caller with fewer privileges than the server, or elsewhere, starts cold."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from lab import PATIENCE, run
from warm_server import BRIDGE, environment, wait_until, waiting

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host

# prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER) with a filter that lets everything pass.
FILTERED = """
import ctypes, os, struct, sys
program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0x7fff0000))
filters = struct.pack("HxxxxxxP", 1, ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(22, 2, filters, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
"""
CONFINED = {
    "a capability less": ["setpriv", "--bounding-set=-sys_ptrace"],
    "another group": ["setpriv", "--regid=12", "--clear-groups"],
    "no new privileges": ["setpriv", "--no-new-privs"],
    "a seccomp filter": ["/usr/bin/python3", "-c", FILTERED],
    "process IDs": ["unshare", "--pid", "--fork"],
    "control groups": ["unshare", "--cgroup"],
    "a host's name": ["unshare", "--uts"],
}
# What a delegate of the caller's choice may do, and where it is.
SPY = """#!/bin/sh
{
    grep -E '^(Gid|Cap|NoNewPrivs|Seccomp)' /proc/self/status
    for kind in cgroup mnt net pid user uts; do readlink /proc/self/ns/$kind; done
    ls /mnt
} >"$SEEN"
"""


@pytest.fixture
def spying(packed: Path, tmp_path: Path) -> Path:
    """A plugin directory with a delegate that looks around."""
    (tmp_path / "spy").write_text(SPY)
    (tmp_path / "spy").chmod(0o755)
    (tmp_path / "bridge").symlink_to(packed)
    return tmp_path


def seen(spying: Path, *before: str) -> str:
    """Return what the delegate of a DEL has seen, called through the words `before`."""
    conf = {**BRIDGE, "ipam": {"type": "spy"}}
    env = {**environment(""), "CNI_COMMAND": "DEL", "CNI_PATH": str(spying)}
    spied = spying / "seen"
    ended = subprocess.run(
        [*before, str(spying / "bridge")],
        input=json.dumps(conf).encode(),
        env={**env, "PATH": "/usr/bin:/bin:/usr/sbin", "SEEN": str(spied)},
        capture_output=True,
        check=False,
        timeout=60 * PATIENCE,
    )
    assert (ended.returncode, ended.stdout) == (0, b""), ended
    text = spied.read_text()
    spied.unlink()
    return text


@pytest.mark.parametrize("what", CONFINED)
def test_confined_caller_is_not_served(
    warm: subprocess.Popen[bytes], spying: Path, what: str
) -> None:
    """What a confined root calls is confined as it is, as without a server."""
    wait_until(lambda: len(waiting(warm)) == 4)
    crew = set(waiting(warm))
    free = seen(spying)
    confined = seen(spying, *CONFINED[what])
    assert confined != free
    assert "CapEff" in confined
    wait_until(lambda: set(waiting(warm)) == crew)  # a refusal costs no child


def test_root_without_capabilities_may_as_little_as_without_a_server(
    warm: subprocess.Popen[bytes], spying: Path
) -> None:
    """The call fails as a cold one does, and nothing is executed with the server's."""
    words = ["setpriv", "--bounding-set=-all", str(spying / "bridge")]
    ended = subprocess.run(
        words,
        input=json.dumps({**BRIDGE, "ipam": {"type": "spy"}}).encode(),
        env={**environment(""), "CNI_COMMAND": "DEL", "CNI_PATH": str(spying)},
        capture_output=True,
        check=False,
        timeout=60 * PATIENCE,
    )
    assert ended.returncode == 1
    assert "CAP_NET_ADMIN" in json.loads(ended.stdout)["details"]
    assert warm.poll() is None


def test_callers_root_is_the_callers(
    warm: subprocess.Popen[bytes], spying: Path, host: Host
) -> None:
    """A caller in a chroot has its delegates there, and not in the server's root."""
    del host
    inner = spying / "inner"
    inner.mkdir()
    run("mount", "--rbind", "/", str(inner))
    run("mount", "--make-rprivate", str(inner))
    try:
        run("mount", "-t", "tmpfs", "tmpfs", str(inner / "mnt"))
        (inner / "mnt/inside").touch()
        assert "inside" not in seen(spying)
        assert seen(spying, "chroot", str(inner)).endswith("\ninside\n")
    finally:
        run("umount", "--lazy", str(inner))
    assert warm.poll() is None
