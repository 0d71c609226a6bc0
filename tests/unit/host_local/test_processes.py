# SPDX-License-Identifier: Apache-2.0
"""Several processes at once, and processes that are killed."""

from __future__ import annotations

import fcntl
import random
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess

    from conftest import Network

POOL = "10.2.0.0/24"
KILLED = """
import os, signal
real = os.{call}
def killed(*args, **keywords):
    if "{when}" == "after":
        real(*args, **keywords)
    os.kill(os.getpid(), signal.SIGKILL)
os.{call} = killed
"""


def printed(process: subprocess.Popen[bytes]) -> bytes:
    """Wait for the end of a process and return its standard output."""
    assert process.stdout is not None
    with process:
        return process.stdout.read()


def test_fifty_processes_get_fifty_addresses(net: Network) -> None:
    """No two of fifty parallel ADDs share an address, and fifty DELs leave none."""
    conf = net.conf(POOL, "fd00::/64")
    adds = net.at_once("ADD", conf, 50)
    assert len({address for add in adds for address in add.addresses}) == 100
    assert len(net.leases) == 100
    dels = net.at_once("DEL", conf, 50)
    assert [(each.status, each.document) for each in dels] == [(0, {})] * 50
    assert net.leases == {}


def test_ours_and_the_reference_at_once(reference: Network) -> None:
    """Both hold the same lock: twenty ADDs of each get forty addresses."""
    conf = reference.conf(POOL, version="1.0.0")
    with ThreadPoolExecutor(40) as pool:
        ours = [pool.submit(reference.call, "ADD", conf, f"o{n}") for n in range(20)]
        theirs = [
            pool.submit(reference.reference, "ADD", conf, f"r{n}") for n in range(20)
        ]
        found = [call.result().addresses[0] for call in (*ours, *theirs)]
        assert len(set(found)) == 40
        for n in range(20):
            pool.submit(reference.call, "DEL", conf, f"r{n}")
            pool.submit(reference.reference, "DEL", conf, f"o{n}")
    assert reference.leases == {}


def waiting(path: Path) -> bool:
    """Tell whether somebody waits for a lock on the file, as the kernel lists them."""
    inode = f":{path.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and inode in line for line in lines)


def test_a_lock_that_was_replaced_does_not_count(net: Network) -> None:
    """Who waited for a lock that was removed meanwhile waits for the new one."""
    conf = net.conf(POOL)
    net.call("ADD", conf, "first")
    path = net.directory / "lock"
    with path.open() as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        process = net.start("ADD", conf, "second")
        while not waiting(path):
            time.sleep(0.01)
        path.unlink()
        new = path.open("w")
        fcntl.flock(new, fcntl.LOCK_EX)
    with new:
        while not waiting(path):
            assert process.poll() is None
            time.sleep(0.01)
        assert list(net.leases) == ["10.2.0.2"]
    printed(process)
    assert list(net.leases) == ["10.2.0.2", "10.2.0.3"]


def test_a_directory_removed_while_waiting_is_made_again(net: Network) -> None:
    """`rm -rf` of the network's directory costs an ADD that waits nothing."""
    conf = net.conf(POOL)
    net.call("ADD", conf, "first")
    path = net.directory / "lock"
    with path.open() as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        process = net.start("ADD", conf, "second")
        while not waiting(path):
            time.sleep(0.01)
        shutil.rmtree(net.directory)
    printed(process)
    assert net.leases == {"10.2.0.2": b"second\r\neth0"}


def test_a_killed_add_leaves_no_empty_file(net: Network) -> None:
    """A lease is there with its owner or not at all, and DEL then releases it."""
    conf = net.conf(POOL, "fd00::/64")
    rng = random.Random(1)
    began = time.monotonic()
    printed(net.start("ADD", conf, "first"))
    once = time.monotonic() - began
    for n in range(10):
        process = net.start("ADD", conf, f"c{n}")
        time.sleep(once * rng.uniform(0.7, 1.05))
        process.kill()
        printed(process)
        owners = (f"c{n}\r\neth0".encode(), b"first\r\neth0")
        assert set(net.leases.values()) <= set(owners)
        for path in net.directory.iterdir():
            assert path.name == "lock" or path.read_bytes()
        assert net.call("DEL", conf, f"c{n}").status == 0
    assert set(net.leases.values()) == {b"first\r\neth0"}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "call", ["write", "fsync", "link", "symlink", "unlink", "utime", "pwrite"]
)
def test_a_process_killed_at_any_call_leaves_whole_leases(
    net: Network, call: str, when: str
) -> None:
    """Killed around any system call that changes the disk, a later DEL finds it all."""
    conf = net.conf(POOL, "fd00::/64")
    assert net.call("ADD", conf, "c0").status == 0
    process = net.start("ADD", conf, "c1", prelude=KILLED.format(call=call, when=when))
    printed(process)
    assert process.returncode == -signal.SIGKILL
    for path in net.directory.iterdir():
        assert path.name == "lock" or path.read_bytes()
    assert net.call("ADD", conf, "c2").status == 0
    for cid in ("c1", "c0", "c2"):
        assert net.call("DEL", conf, cid).status == 0
    assert net.leases == {}
    assert list(net.index) == ["stamp"]


def test_an_interrupted_call_costs_the_index_its_trust(net: Network) -> None:
    """A lease made by a process that died before it wrote the index is found by DEL."""
    conf = net.conf(POOL)
    net.call("ADD", conf, "c1")
    before = net.index
    net.call("ADD", conf, "c2")
    root = next((net.state / "host-local").iterdir())
    for link in root.iterdir():
        link.unlink()
    for name, target in before.items():
        (root / name).symlink_to(target)
    assert net.call("DEL", conf, "c2").status == 0
    assert net.leases == {"10.2.0.2": b"c1\r\neth0"}
