# SPDX-License-Identifier: Apache-2.0
"""The operator's command and attachments with a lease."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lab import run
from netns.dhcp.helpers import CONF, Keeper, Lan, recorded

if TYPE_CHECKING:
    from lab import Cni
    from netns.cnipy.helpers import Desk


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


def test_status_of_the_node_tells_of_keeper_and_leases(
    lan: Lan, keeper: Keeper, desk: Desk, cni: Cni
) -> None:
    """Whether it listens, how its leases are, and when the first is renewed."""
    path = "keeper of leases: listens at /run/cni/dhcp.sock"
    assert f"{path}, no leases\n" in desk.ok("status")
    lan.serve("--dhcp-option=58,1000", lease="1h")
    for number in range(2):
        options: dict[str, Any] = {
            "netns": lan.container(),
            "container_id": f"c{number}",
        }
        cni.ok("dhcp", "ADD", CONF, **options)
    told = desk.ok("status")
    (seconds,) = re.findall(rf"{path}, leases: 2 held; next renewal in (\d+) s\n", told)
    assert 900 < int(seconds) <= 1000
    keeper.kill()
    cni.ok("dhcp", "DEL", CONF, **options)
    absent = "keeper of leases: nobody listens at /run/cni/dhcp.sock"
    assert f"{absent}, leases: 1 held, 1 ending; next renewal" in desk.ok("status")
