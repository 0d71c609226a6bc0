# SPDX-License-Identifier: Apache-2.0
"""The tables of iptables, as far as the kernel shows them without the command.

What iptables-nft wrote lies in nftables tables such as `ip nat` and `ip6 filter` and is
reached through libnftables. Of iptables-legacy the kernel tells only whether a
network namespace has the table at all.
"""

from __future__ import annotations

FAMILIES = {4: "ip", 6: "ip6"}
LEGACY_TABLES = {
    4: "/proc/thread-self/net/ip_tables_names",
    6: "/proc/thread-self/net/ip6_tables_names",
}


def has_legacy(version: int, name: str) -> bool:
    """Return whether iptables-legacy has the table in this network namespace."""
    try:
        with open(LEGACY_TABLES[version], encoding="ascii") as names:
            return name in names.read().split()
    except OSError:
        return False
