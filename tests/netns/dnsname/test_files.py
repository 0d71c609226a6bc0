# SPDX-License-Identifier: Apache-2.0
"""dnsname: the files that dnsmasq reads, and what lies in their way."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from netns.dnsname.helpers import SERVERS, Names, Reply, left, pids

from cni_common import state

if TYPE_CHECKING:
    from pathlib import Path


def test_only_names_can_be_read(node: Names) -> None:
    """Other users read the names; they list nothing above, and read no record."""
    node.attach("c1", "web")
    modes = {
        path: stat.S_IMODE(os.stat(path).st_mode)
        for path in (
            state.ROOT,
            SERVERS,
            f"{SERVERS}/net",
            f"{SERVERS}/net/hosts",
            f"{SERVERS}/net/dnsmasq.conf",
            f"{state.ROOT}/dnsname",
            f"{state.ROOT}/bridge",
        )
    }
    assert list(modes.values()) == [0o711, 0o711, 0o711, 0o755, 0o600, 0o700, 0o700]


def test_umask_of_the_caller_does_not_matter(node: Names) -> None:
    """A runtime with umask 077 gets a dnsmasq that can read its files."""
    before = os.umask(0o077)
    os.makedirs("/run/cni", exist_ok=True)
    os.chmod("/run/cni", 0o700)
    try:
        web = node.attach("c1", "web")
        assert web.ask("web") == Reply(0, [web.address])
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", ("net", "net/hosts"))
def test_link_in_the_way_is_not_followed(
    node: Names, tmp_path: Path, name: str
) -> None:
    """Where our directory should be, a symbolic link makes ADD fail untouched."""
    (tmp_path / "kept").write_text("kept")
    planned = node.plan("c1", "web")
    path = f"{SERVERS}/{name}"
    os.makedirs(os.path.dirname(path), 0o700)
    os.symlink(tmp_path, path)
    mode = tmp_path.stat().st_mode
    node.refused("ADD", planned)
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]
    assert tmp_path.stat().st_mode == mode
    assert pids() == []


def test_longest_network_name(node: Names) -> None:
    """A network's name that no directory could have is served like any other."""
    name = "n" * 300
    web = node.plan("c1", "web", bridge={"ipam": None})
    space, result = node.bridged("c2")
    web.conf |= {"name": name, "prevResult": result}
    web.options |= {"netns": space, "container_id": "c2"}
    node.call("ADD", web)
    web.space = space
    address = result["ips"][0]["address"].split("/")[0]
    assert web.ask("web") == Reply(0, [address])
    node.call("CHECK", web)
    node.call("DEL", web)
    assert (pids(), left()) == ([], [f"{state.ROOT}/dnsname"])
