# SPDX-License-Identifier: Apache-2.0
"""STATUS tries whether files can be made where ADD makes some."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from lab import run

from cni_common.frame import readiness
from plugins import REGISTER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Cni

_SUBNET = "10.9.0.0/24"
# As each IPAM plugin would have it, for whichever is called.
IPAM = {
    "type": "host-local",
    "ranges": [[{"subnet": _SUBNET}]],
    "podCIDR": _SUBNET,
}
CONF: dict[str, Any] = {"cniVersion": "1.1.0", "name": "net", "ipam": IPAM}
# What they do is nowhere on record.
WITHOUT_RECORDS = {"cluster-pool", "host-local", "loopback", "static"}

pytestmark = pytest.mark.usefixtures("host")


@pytest.fixture
def read_only_run() -> Iterator[None]:
    """/run/cni is a file system that cannot be written to."""
    os.makedirs("/run/cni", exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/run/cni")
    yield
    run("umount", "/run/cni")


@pytest.mark.parametrize(
    "data_dir",
    [
        "/proc",
        "/proc/leases",
        "/proc/sys/net/leases",
        "/sys",
        "/sys/kernel/a/b",
        "/dev/null",
    ],
)
def test_a_data_dir_that_takes_no_files_is_not_ready(cni: Cni, data_dir: str) -> None:
    """access(2) lets root write to procfs and sysfs, which take no files."""
    conf = CONF | {"ipam": {**IPAM, "dataDir": data_dir}}
    assert cni.refused("host-local", "ADD", conf, netns="/run/netns/x")["code"] == 5
    error = cni.refused("host-local", "STATUS", conf)
    assert (error["code"], error["msg"]) == (
        50,
        f"use dataDir {data_dir}: not a writable directory",
    )


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs", "mqueue"])
def test_trying_leaves_nothing(tmp_path: Path, kind: str) -> None:
    """With nameless files, and where only others can be made (mqueue)."""
    run("mount", "-t", kind, kind, str(tmp_path))
    try:
        before = tmp_path.stat().st_mtime_ns
        assert readiness.takes_files(str(tmp_path))
        if kind != "mqueue":
            assert tmp_path.stat().st_mtime_ns == before
            assert readiness.takes_files(str(tmp_path / "not" / "yet"))
        assert os.listdir(tmp_path) == []
    finally:
        run("umount", str(tmp_path))


@pytest.mark.parametrize("plugin", sorted(set(REGISTER) - WITHOUT_RECORDS))
def test_no_record_no_readiness(cni: Cni, plugin: str, read_only_run: None) -> None:
    """Every plugin that writes records says that it could not, with code 50."""
    del read_only_run
    error = cni.refused(plugin, "STATUS", {**CONF, "type": plugin})
    assert (error["code"], error["msg"]) == (
        50,
        "write record: no file can be made in /run/cni/cnipy",
    )


@pytest.mark.parametrize("plugin", sorted(WITHOUT_RECORDS))
def test_without_records_nothing_is_asked_of_run(
    cni: Cni, plugin: str, read_only_run: None
) -> None:
    """host-local's leases lie elsewhere, and its index is only for speed."""
    del read_only_run
    cni.ok(plugin, "STATUS", {**CONF, "type": plugin})
