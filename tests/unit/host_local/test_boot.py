# SPDX-License-Identifier: Apache-2.0
"""When a lease is dead, and when that matters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cni_common.leases import boot

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Network

POOL = "10.2.0.0/30"
OLD = (978307200, 978307200)  # 2001-01-01, before any machine that runs this


@pytest.fixture
def reboot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make every lease so far one of an earlier boot, as its mark says."""
    path = tmp_path / "boot_id"
    path.write_text("00000000-0000-4000-8000-000000000000\n")
    monkeypatch.setattr(boot, "_BOOT_ID", str(path))


def has_attributes(net: Network) -> bool:
    return boot.ATTRIBUTE in os.listxattr(net.directory / "10.2.0.2")


def test_own_lease_of_an_earlier_boot_is_reclaimed_when_the_range_is_full(
    net: Network, request: pytest.FixtureRequest
) -> None:
    """The boot ID decides, though the file is young."""
    conf = net.conf(POOL)
    net.call("ADD", conf, "old")
    if not has_attributes(net):
        pytest.skip("the file system has no extended attributes")
    assert net.call("ADD", conf, "new").failure[0] == 11
    request.getfixturevalue("reboot")
    assert net.call("STATUS", conf).status == 0
    assert net.call("ADD", conf, "new").addresses == ["10.2.0.2"]
    assert net.leases == {"10.2.0.2": b"new\r\neth0"}
    assert "old@eth0" not in net.index
    assert net.call("DEL", conf, "old").status == 0
    assert net.leases == {"10.2.0.2": b"new\r\neth0"}


def test_own_lease_of_this_boot_stays_whatever_the_clock_says(net: Network) -> None:
    """A clock that stepped makes the file's time lie; the boot ID does not."""
    conf = net.conf(POOL)
    net.call("ADD", conf, "living")
    if not has_attributes(net):
        pytest.skip("the file system has no extended attributes")
    os.utime(net.directory / "10.2.0.2", OLD)
    assert net.call("ADD", conf, "new").failure[0] == 11
    assert net.call("ADD", conf, "new", CNI_ARGS="IP=10.2.0.2").failure[0] == 11
    assert net.call("STATUS", conf).failure[0] == 50


def foreign(net: Network, name: str, content: bytes, *, old: bool) -> None:
    net.directory.mkdir(parents=True, exist_ok=True)
    (net.directory / name).write_bytes(content)
    if old:
        os.utime(net.directory / name, OLD)


@pytest.mark.parametrize(
    ("content", "old"),
    [(b"", False), (b" \r\n", False), (b"", True), (b"other\r\neth0", True)],
)
def test_dead_leases_of_others_are_reclaimed_when_the_range_is_full(
    net: Network, content: bytes, *, old: bool
) -> None:
    """What a crash left empty and what is older than this boot gives way."""
    foreign(net, "10.2.0.2", content, old=old)
    conf = net.conf(POOL)
    assert net.call("STATUS", conf).status == 0
    assert net.call("ADD", conf, "new").addresses == ["10.2.0.2"]
    assert net.leases == {"10.2.0.2": b"new\r\neth0"}


@pytest.mark.parametrize("content", [b"other\r\neth0", b"other", b"\x00\xff rubbish"])
def test_young_leases_of_others_stay(net: Network, content: bytes) -> None:
    """Nothing takes a lease that somebody may hold."""
    foreign(net, "10.2.0.2", content, old=False)
    conf = net.conf(POOL)
    assert net.call("ADD", conf, "new").failure[0] == 11
    assert net.call("ADD", conf, "new", CNI_ARGS="IP=10.2.0.2").failure[0] == 11
    assert net.leases == {"10.2.0.2": content}


def test_dead_leases_are_left_alone_while_something_is_free(net: Network) -> None:
    """An old lease costs nothing until its address is needed."""
    foreign(net, "10.2.0.2", b"other\r\neth0", old=True)
    foreign(net, "10.2.0.3", b"", old=False)
    assert net.call("ADD", net.conf("10.2.0.0/29"), "new").addresses == ["10.2.0.4"]
    assert sorted(net.leases) == ["10.2.0.2", "10.2.0.3", "10.2.0.4"]


@pytest.mark.parametrize(("content", "old"), [(b"", False), (b"other\r\neth0", True)])
def test_a_dead_lease_is_reclaimed_when_just_it_is_asked_for(
    net: Network, content: bytes, *, old: bool
) -> None:
    """A container with a fixed address starts again after a crash."""
    foreign(net, "10.2.0.9", content, old=old)
    conf = net.conf("10.2.0.0/24")
    outcome = net.call("ADD", conf, "new", CNI_ARGS="IP=10.2.0.9")
    assert outcome.addresses == ["10.2.0.9"]


@pytest.mark.parametrize("content", [b"c1\r\neth0", b"c1"])
def test_a_dead_lease_of_the_same_owner_is_no_duplicate(
    net: Network, content: bytes
) -> None:
    """The same container starts again after a reboot, with nobody having called DEL."""
    foreign(net, "10.2.0.9", content, old=True)
    assert net.call("ADD", net.conf("10.2.0.0/24"), "c1").addresses == ["10.2.0.2"]
    assert net.leases == {"10.2.0.2": b"c1\r\neth0"}


def test_same_owner_after_a_reboot_by_the_mark(
    net: Network, request: pytest.FixtureRequest
) -> None:
    """Its own lease is refused as duplicate in this boot and replaced in the next."""
    conf = net.conf("10.2.0.0/24")
    net.call("ADD", conf)
    if not has_attributes(net):
        pytest.skip("the file system has no extended attributes")
    assert net.call("ADD", conf).failure[0] == 999
    request.getfixturevalue("reboot")
    assert net.call("ADD", conf).addresses == ["10.2.0.3"]
    assert net.leases == {"10.2.0.3": b"c1\r\neth0"}
