# SPDX-License-Identifier: Apache-2.0
"""File systems without unnamed files or hard links, which this machine may lack."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Network


@pytest.fixture(params=("no unnamed files", "no hard links", "neither"))
def poor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer as NFS, older overlays, 9p or FAT do where they lack something."""
    real_open = os.open

    def without_unnamed(path: Any, flags: int, *args: Any, **keywords: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return real_open(path, flags, *args, **keywords)

    def without_links(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param != "no hard links":
        monkeypatch.setattr(os, "open", without_unnamed)
    if request.param != "no unnamed files":
        monkeypatch.setattr(os, "link", without_links)


@pytest.mark.usefixtures("poor")
def test_leases_are_the_same_on_poor_file_systems(net: Network) -> None:
    """Allocation, contents and modes do not depend on what the file system offers."""
    conf = net.conf("10.2.0.0/29", "fd00::/64")
    assert net.call("ADD", conf, "c1").addresses == ["10.2.0.2", "fd00::2"]
    assert net.call("ADD", conf, "c2").addresses == ["10.2.0.3", "fd00::3"]
    taken = net.call("ADD", conf, "c3", CNI_ARGS="IP=10.2.0.2")
    assert taken.failure[0] == 11
    assert net.leases == {
        "10.2.0.2": b"c1\r\neth0",
        "10.2.0.3": b"c2\r\neth0",
        "fd00::2": b"c1\r\neth0",
        "fd00::3": b"c2\r\neth0",
    }
    assert (net.directory / "10.2.0.2").stat().st_mode & 0o7777 == 0o600
    assert net.call("DEL", conf, "c1").status == 0
    assert sorted(net.leases) == ["10.2.0.3", "fd00::3"]


@pytest.mark.usefixtures("poor")
def test_a_planted_temporary_file_is_replaced(net: Network, tmp_path: Any) -> None:
    """A link under the temporary name leads nothing away."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    net.data_dir.mkdir()
    spare = net.data_dir / ".net.new"
    spare.symlink_to(victim)
    assert net.call("ADD", net.conf("10.2.0.0/29")).status == 0
    assert victim.read_bytes() == b"mine"
    spare.unlink(missing_ok=True)
