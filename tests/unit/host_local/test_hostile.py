# SPDX-License-Identifier: Apache-2.0
"""Strange and hostile things in the network's directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Network

POOL = "10.2.0.0/29"


@pytest.fixture
def victim(net: Network, tmp_path: Path) -> Path:
    """A file elsewhere, which nothing here may read, change or remove."""
    net.directory.mkdir(parents=True)
    path = tmp_path / "victim"
    path.write_bytes(b"c1\r\neth0")
    return path


@pytest.mark.parametrize("name", ["last_reserved_ip.0", "10.2.0.2"])
@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_links_do_not_lead_writes_away(
    net: Network, victim: Path, name: str, link: str
) -> None:
    """A planted link is replaced or passed over; its target stays as it was."""
    if link == "symbolic":
        (net.directory / name).symlink_to(victim)
    else:
        os.link(victim, net.directory / name)
    assert net.call("ADD", net.conf(POOL), "c2").status == 0
    assert victim.read_bytes() == b"c1\r\neth0"


def test_a_symbolic_link_is_nobody_s_lease(net: Network, victim: Path) -> None:
    """Its target's content gives no claim on it, and its address is not allocated."""
    (net.directory / "10.2.0.2").symlink_to(victim)
    conf = net.conf(POOL)
    assert net.call("ADD", conf).addresses == ["10.2.0.3"]
    assert net.call("DEL", conf).status == 0
    gc = conf | {"cni.dev/valid-attachments": []}
    assert net.call("GC", gc).status == 0
    assert (net.directory / "10.2.0.2").is_symlink()
    assert victim.read_bytes() == b"c1\r\neth0"


def test_a_lock_that_is_a_link_is_refused(net: Network, victim: Path) -> None:
    """Code 5, and the target is not touched."""
    (net.directory / "lock").symlink_to(victim)
    code, msg = net.call("ADD", net.conf(POOL)).failure
    assert (code, msg.startswith(f"use lease directory {net.directory}: ")) == (5, True)
    assert victim.read_bytes() == b"c1\r\neth0"


def test_a_directory_that_is_a_link_is_refused(net: Network, tmp_path: Path) -> None:
    """The network's directory must be one; nothing appears where the link leads."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    net.data_dir.mkdir()
    net.directory.symlink_to(elsewhere)
    assert net.call("ADD", net.conf(POOL)).failure[0] == 5
    assert list(elsewhere.iterdir()) == []


def test_data_dir_may_be_a_link(net: Network, tmp_path: Path) -> None:
    """Administrators move /var/lib/cni/networks to another disk and link to it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    net.data_dir.symlink_to(elsewhere)
    assert net.call("ADD", net.conf(POOL)).addresses == ["10.2.0.2"]
    assert (elsewhere / net.name / "10.2.0.2").read_bytes() == b"c1\r\neth0"


def test_a_file_in_place_of_the_directory_is_reported(net: Network) -> None:
    """Code 5 with the path and the cause, for ADD and DEL alike."""
    net.data_dir.mkdir()
    net.directory.write_bytes(b"")
    expected = (5, f"use lease directory {net.directory}: not a directory")
    for verb in ("ADD", "DEL"):
        assert net.call(verb, net.conf(POOL)).failure == expected


@pytest.mark.parametrize(
    "kind", ["directory", "fifo", "huge", "binary", "mention", "unreadable"]
)
def test_what_is_no_lease_is_passed_over(net: Network, kind: str) -> None:
    """It keeps its address, and no verb fails, hangs or removes it."""
    path = net.directory / "10.2.0.2"
    net.directory.mkdir(parents=True)
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "huge":
            with path.open("wb") as file:
                file.truncate(1 << 40)
        case "binary":
            path.write_bytes(bytes(range(256)))
        case "mention":
            path.write_bytes(b"c1\r\neth0\r\nand more")
        case "unreadable":
            path.write_bytes(b"c2\r\neth0")
            path.chmod(0)
    conf = net.conf(POOL)
    result = net.call("ADD", conf)
    assert result.addresses == ["10.2.0.3"]
    assert net.call("CHECK", conf | {"prevResult": result.document}).status == 0
    assert net.call("STATUS", conf).status == 0
    gc = {"cni.dev/valid-attachments": [{"containerID": "c2", "ifname": "eth0"}]}
    assert net.call("DEL", conf).status == 0
    assert net.call("GC", conf | gc).status == 0
    assert sorted(os.listdir(net.directory)) == [
        "10.2.0.2",
        "last_reserved_ip.0",
        "lock",
    ]


@pytest.mark.parametrize("text", [b"", b"rubbish", b"\xff", b"10.2.0.300", b"x" * 9999])
def test_a_garbled_last_reserved_ip_starts_over(net: Network, text: bytes) -> None:
    """Only the round robin is lost."""
    net.directory.mkdir(parents=True)
    (net.directory / "last_reserved_ip.0").write_bytes(text)
    assert net.call("ADD", net.conf(POOL)).addresses == ["10.2.0.2"]
    assert (net.directory / "last_reserved_ip.0").read_bytes() == b"10.2.0.2"


def test_odd_owners_stay_out_of_the_index(net: Network) -> None:
    """Content that would be a path is no name in the side index."""
    net.directory.mkdir(parents=True)
    (net.directory / "10.2.0.2").write_bytes(b"c1\r\n../../../etc/x")
    (net.directory / "10.2.0.3").write_bytes(b"../../x\r\neth0")
    net.call("ADD", net.conf(POOL))
    assert sorted(net.index) == ["c1@eth0", "stamp"]


def test_very_long_container_ids_work(net: Network) -> None:
    """An ID longer than a file name can be is leased to and released alike."""
    conf = net.conf(POOL)
    cids = ["a" * 5000, "a" * 4999 + "b"]
    for cid in cids:
        net.call("ADD", conf, cid)
    assert net.call("ADD", conf, cids[0]).failure[0] == 999
    net.call("DEL", conf, cids[0])
    assert net.leases == {"10.2.0.3": f"{cids[1]}\r\neth0".encode()}
    net.call("DEL", conf, cids[1])
    assert net.leases == {}
