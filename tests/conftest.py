# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the whole suite: private mounts, fresh namespaces, calling a plugin.

When root, the pytest process gets a mount namespace of its own with an empty /run
and /var/lib/cni*, and each test that asks for `host` runs inside a fresh network
namespace. Plugins are then called in process, through the same door as a runtime's
call, so that coverage sees what the kernel tests do.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import threading
from typing import TYPE_CHECKING

import kernel_features
import pytest
from hypothesis import HealthCheck, settings
from lab import Cni, Host, Space, lacking, run

from cni_common.frame import log
from cni_common.kernel import nft
from plugins import REGISTER

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long an example takes says little where other tests run beside it.
settings.register_profile(
    "suite",
    settings(),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def _measure_nothing() -> None:
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type] # None is what it begins with


# A child of a test ends by os._exit, and what coverage saw of it with it.
os.register_at_fork(after_in_child=_measure_nothing)


def pytest_configure(config: pytest.Config) -> None:
    """Leave the machine's mounts alone from the start."""
    for line in (
        "slow: takes long, and its coverage is not measured",
        "needs_kernel(feature): what of tests/kernel_features.py the kernel must have",
        "thorough: left out of the brief part of what another kernel runs",
        "every_kernel: runs on Debian's kernels too, whatever this one has",
    ):
        config.addinivalue_line("markers", line)
    # With `-n` the tests run in workers; the process that starts them needs nothing.
    starts_workers = config.getoption("numprocesses", default=None)
    if os.geteuid() != 0 or (starts_workers and not hasattr(config, "workerinput")):
        return
    _call(_libc.unshare(CLONE_NEWNS), "unshare")
    _call(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount /")
    for path in ("/run", "/var/lib/cni", "/var/lib/cnipy"):
        os.makedirs(path, exist_ok=True)
        where = path.encode()
        _call(_libc.mount(b"tmpfs", where, b"tmpfs", 0, b"mode=0755"), "mount tmpfs")
    os.makedirs("/run/netns")
    os.makedirs("/run/lock")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave to another kernel what this one cannot run; decide what is measured."""
    kernel_features.check_marks(items)
    kernel_features.leave_out(config, items)
    for item in items:
        # Measured, these would cost twice as much, and others run the same lines.
        is_repeated = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if is_repeated or item.get_closest_marker("slow"):
            item.add_marker("no_cover")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say why a test cannot run on this kernel; forget what others remarked."""
    kernel_features.require(item)
    log.remarks()


def _call(status: int, what: str) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


@pytest.fixture
def host() -> Iterator[Host]:
    """A fresh network namespace, entered by this thread, with empty state."""
    if os.geteuid() != 0:
        lacking("root is needed for network namespaces")
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    _call(_libc.unshare(CLONE_NEWNET), "unshare")
    run("ip", "link", "set", "lo", "up")
    node = Host()
    try:
        yield node
    finally:
        for space in node.spaces:
            run("ip", "netns", "delete", space.name, check=False)
        nft.release()
        _call(_libc.setns(home, CLONE_NEWNET), "setns")
        os.close(home)
        for directory in ("/run/cni", "/run/cnipy", "/var/lib/cni", "/var/lib/cnipy"):
            _empty(directory)


def _empty(directory: str) -> None:
    if os.path.isdir(directory):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)


@pytest.fixture
def container(host: Host) -> Space:
    """A network namespace that stands for a container of `host`."""
    return host.space()


@pytest.fixture
def cni(tmp_path_factory: pytest.TempPathFactory) -> Cni:
    """Plugins of the suite, found by name in a CNI_PATH and called in process."""
    directory = tmp_path_factory.mktemp("cni-bin")
    for name in REGISTER:
        (directory / name).write_text("")
    return Cni(str(directory))
