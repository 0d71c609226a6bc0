# SPDX-License-Identifier: Apache-2.0
"""The operator's command and attachments with a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import run
from netns.cnipy.helpers import Desk
from netns.dhcp.helpers import Keeper, Lan, recorded

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator's place."""
    return Desk(host, cni, tmp_path)


def test_attachment_is_shown_and_repaired(lan: Lan, keeper: Keeper, desk: Desk) -> None:
    """An address that was taken away is put back; the lease is left alone."""
    del keeper
    lan.serve()
    bridge = {"type": "bridge", "bridge": "br0", "ipam": {"type": "dhcp"}}
    desk.network("lan", bridge)
    space = lan.host.space()
    result = desk.attach("lan", space)
    address = result["ips"][0]["address"]
    before = recorded()
    assert address in desk.ok("show")
    run("ip", "-n", space.name, "addr", "flush", "dev", "eth0")
    desk("repair")
    (shown,) = space.ip("addr", "show", "eth0")
    assert address.partition("/")[0] in [a["local"] for a in shown["addr_info"]]
    assert recorded() == before
