# SPDX-License-Identifier: Apache-2.0
"""The nat tables of iptables, as far as the kernel shows them without the command.

What iptables-nft wrote lies in the nftables tables `ip nat` and `ip6 nat` and is
reached through libnftables. Of iptables-legacy the kernel tells only whether a
network namespace has the table at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.kernel import nft
from cni_common.kernel.foreign_rules import Rule, deletion, rules

if TYPE_CHECKING:
    from collections.abc import Sequence

FAMILIES = {4: "ip", 6: "ip6"}
LEGACY_TABLES = {
    4: "/proc/thread-self/net/ip_tables_names",
    6: "/proc/thread-self/net/ip6_tables_names",
}


class NftNat:
    """The nat table of iptables-nft for one version of IP."""

    def __init__(self, version: int) -> None:
        self.version = version
        self._family = FAMILIES[version]

    def has(self, chain: str) -> bool:
        """Return whether there is a chain of that name."""
        return rules(self._family, "nat", chain) is not None

    def rules(self, chain: str) -> list[Rule]:
        """Return the rules of `chain`; none if there is no such chain."""
        return rules(self._family, "nat", chain) or []

    def remove(self, doomed: Sequence[Rule], chains: Sequence[str]) -> None:
        """Delete the rules `doomed`, then `chains` with their content, as a whole.

        Raises RefusedError, with nothing changed, if one of them is gone or a chain
        is still jumped to.
        """
        commands = [deletion(self._family, "nat", rule) for rule in doomed]
        commands += [f"flush chain {self._family} nat {chain}" for chain in chains]
        commands += [f"delete chain {self._family} nat {chain}" for chain in chains]
        if commands:
            nft.run("\n".join(commands))


def has_legacy_nat(version: int) -> bool:
    """Return whether iptables-legacy has a nat table in this network namespace."""
    try:
        with open(LEGACY_TABLES[version], encoding="ascii") as names:
            return "nat" in names.read().split()
    except OSError:
        return False
