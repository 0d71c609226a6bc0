# SPDX-License-Identifier: Apache-2.0
"""Our tables as text: each declaration, and the elements of sample records."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cni_common import duplicates, exemptions, masquerade, spoofcheck
from cni_common.allowed import nftables, rules
from cni_common.naming import Attachment
from cni_common.parts.allowed import Allowed
from cni_common.published import elements
from cni_common.published import rules as portmap
from cni_common.published.claims import Claim, Port, Target

if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.kernel.own_table import Elements, OwnTable
    from cni_common.spec.fields import IPNetwork

GOLDEN = Path(__file__).parent / "golden"
OWNER = Attachment("net", "web", "eth0")
MAC = "0a:58:0a:01:00:02"
ALLOWED = Allowed(
    addresses=(ip_address("10.1.0.2"), ip_address("fd01::2")),
    guarded=("br0",),
    isolated=True,
    ports=("veth1",),
    pools=(ip_network("10.1.0.0/16"), ip_network("fd01::/48")),
    overlay="ov0",
)
CLAIMS = {
    Port("tcp", 8080): [
        Claim(
            host_ip="",
            network="net",
            container_id="web",
            ifname="eth0",
            netns="/run/netns/web",
            identity="4:1",
            container_port=80,
            targets=(Target("10.1.0.2", "br0"), Target("fd01::2", "br0")),
        )
    ],
    Port("udp", 5353): [
        Claim(
            host_ip="198.51.100.1",
            network="bound",
            container_id="dns",
            ifname="eth0",
            netns="/run/netns/dns",
            identity="4:2",
            container_port=53,
            targets=(Target("10.2.0.2", "br1", 'iifname "up0"'),),
            masq_all=True,
            counters=True,
        )
    ],
}


def shown(table: OwnTable, of_records: Elements) -> str:
    """Return a table as text, and how elements are added to it and taken again."""
    change = table.change(of_records, {})
    return f"{table.declaration}\n{change}" if change else table.declaration


def published() -> str:
    """Return the table of portmap for two networks, one with conditions."""
    claims = [claim for held in CLAIMS.values() for claim in held]
    every: Elements = {}
    for port, held in CLAIMS.items():
        every |= elements.of_claims(port, held)
    return shown(portmap.table(sorted(portmap.scopes(claims))), every)


def allowed() -> str:
    """Return both tables of firewall for an isolated container."""
    routed, bridged = (
        nftables._owned(nftables._needed(place, ALLOWED, filtered=False), OWNER)
        for place in (rules.INET, rules.PORTS)
    )
    return f"{shown(rules.ROUTED, routed)}\n{shown(rules.BRIDGED, bridged)}"


def masqueraded() -> str:
    """Return the table of masquerading for two subnets."""
    return shown(
        masquerade.table([ip_network("10.1.0.0/16"), ip_network("fd01::/64")]), {}
    )


def exempted(subnet: IPNetwork, but: Collection[str] = ()) -> list[IPNetwork]:
    """Return what is reached without masquerading."""
    del but
    return [ip_network("10.9.0.0/16")] if subnet.version == 4 else []


TABLES = {
    "spoofcheck": lambda: shown(
        spoofcheck._TABLE, spoofcheck._elements("veth1", MAC, "net web eth0")
    ),
    "duplicates": lambda: shown(
        duplicates._TABLE, duplicates._elements("", MAC, "net web eth0")
    ),
    "masquerade": masqueraded,
    "firewall": allowed,
    "portmap": published,
}


@pytest.mark.parametrize("name", TABLES)
def test_table_is_as_it_was_reviewed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of a table changes only together with the file that a reviewer reads."""
    monkeypatch.setattr(exemptions, "of_subnet", exempted)
    assert TABLES[name]() == (GOLDEN / f"{name}.nft").read_text()
