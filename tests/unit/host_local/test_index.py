# SPDX-License-Identifier: Apache-2.0
"""The side index: what it saves, and that nothing depends on believing it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from cni_common import state
from cni_common.leases.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Network


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose content was read as a lease's, as they are read."""
    seen: list[str] = []
    content = Store.content

    def noted(self: Store, name: str) -> bytes | None:
        seen.append(name)
        return content(self, name)

    monkeypatch.setattr(Store, "content", noted)
    return seen


@pytest.fixture
def populated(net: Network) -> dict[str, Any]:
    """A network with a hundred leases made by ADD."""
    conf = net.conf("10.2.0.0/16")
    for n in range(100):
        net.call("ADD", conf, f"c{n}")
    return conf


def test_add_and_del_read_no_other_lease(
    net: Network, populated: dict[str, Any], readings: list[str]
) -> None:
    """Among a hundred leases, ADD reads none and DEL only its own."""
    assert net.call("ADD", populated, "new").addresses == ["10.2.0.102"]
    assert set(readings) == {"last_reserved_ip.0"}
    readings.clear()
    assert net.call("DEL", populated, "new").status == 0
    assert set(readings) == {"10.2.0.102"}
    readings.clear()
    assert net.call("DEL", populated, "new").status == 0
    assert readings == []


def test_a_foreign_change_is_noticed(
    net: Network, populated: dict[str, Any], readings: list[str]
) -> None:
    """One file made by somebody else, and everything is read again, once."""
    (net.directory / "10.2.9.9").write_bytes(b"other\r\neth0")
    assert net.call("DEL", populated, "other").status == 0
    assert "10.2.9.9" not in net.leases
    assert len(readings) > 100
    readings.clear()
    assert net.call("DEL", populated, "c7").status == 0
    assert set(readings) == {"10.2.0.9"}


@pytest.mark.parametrize("how", ["removed", "emptied", "garbled", "restored"])
def test_the_index_can_be_thrown_away(
    net: Network, populated: dict[str, Any], how: str
) -> None:
    """Whatever becomes of the index, duplicates are refused and DEL releases."""
    root = next((net.state / "host-local").iterdir())
    if how == "removed":
        shutil.rmtree(root)
    elif how == "emptied":
        for link in root.iterdir():
            link.unlink()
    elif how == "garbled":
        for link in root.iterdir():
            if link.name != "stamp":
                link.unlink()
                link.symlink_to("10.2.0.2,../../x,,nonsense")
    else:
        copy = shutil.copytree(root, net.state / "copy", symlinks=True)
        net.call("ADD", populated, "later")
        shutil.rmtree(root)
        shutil.move(copy, root)
        assert net.call("ADD", populated, "later").failure[0] == 999
    assert net.call("ADD", populated, "c7").failure[0] == 999
    assert net.call("DEL", populated, "c7").status == 0
    assert not any(content == b"c7\r\neth0" for content in net.leases.values())


def test_an_unusable_state_directory_only_costs_time(
    net: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a place for the index, every verb does the same."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(state, "ROOT", str(tmp_path / "file"))
    conf = net.conf("10.2.0.0/24")
    assert net.call("ADD", conf).addresses == ["10.2.0.2"]
    assert net.call("ADD", conf).failure[0] == 999
    assert net.call("CHECK", conf).status == 0
    assert net.call("DEL", conf).status == 0
    assert net.leases == {}


def test_a_directory_of_another_user_is_not_used(
    net: Network, populated: dict[str, Any]
) -> None:
    """An index that somebody else owns is neither believed nor written."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    root = next((net.state / "host-local").iterdir())
    os.chown(root, 12345, 12345)
    before = sorted(os.listdir(root))
    assert net.call("DEL", populated, "c7").status == 0
    assert sorted(os.listdir(root)) == before
    assert len(net.leases) == 99


def test_networks_do_not_share_an_index(net: Network) -> None:
    """The same container on two networks keeps the other's lease."""
    conf = net.conf("10.2.0.0/24")
    net.call("ADD", conf)
    other = conf | {"name": "net2"}
    net.call("ADD", other)
    net.call("DEL", other)
    assert net.leases == {"10.2.0.2": b"c1\r\neth0"}
    assert "c1@eth0" in net.index
    shutil.rmtree(net.data_dir / "net2")
