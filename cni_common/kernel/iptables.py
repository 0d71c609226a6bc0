# SPDX-License-Identifier: Apache-2.0
"""The tables of iptables, as far as the kernel shows them without the command.

What iptables-nft wrote lies in nftables tables such as `ip nat` and `ip6 filter` and is
reached through libnftables. Of iptables-legacy the kernel tells only whether a
network namespace has the table at all.
"""

from __future__ import annotations

from cni_common.kernel import nft
from cni_common.kernel.foreign_rules import Rule, deletion, rules

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence

FAMILIES = {4: "ip", 6: "ip6"}
LEGACY_TABLES = {
    4: "/proc/thread-self/net/ip_tables_names",
    6: "/proc/thread-self/net/ip6_tables_names",
}


class NftTable:
    """A table of iptables-nft for one version of IP."""

    def __init__(self, version: int, name: str) -> None:
        self.version = version
        self._name = name
        self._family = FAMILIES[version]

    def has(self, chain: str) -> bool:
        """Return whether there is a chain of that name."""
        return rules(self._family, self._name, chain) is not None

    def rules(self, chain: str) -> list[Rule]:
        """Return the rules of `chain`; none if there is no such chain."""
        return rules(self._family, self._name, chain) or []

    def remove(self, doomed: Sequence[Rule], chains: Sequence[str]) -> None:
        """Delete the rules `doomed`, then `chains` with their content, as a whole.

        Raises RefusedError, with nothing changed, if one of them is gone or a chain
        is still jumped to.
        """
        commands = [deletion(self._family, self._name, rule) for rule in doomed]
        table = f"{self._family} {self._name}"
        commands += [f"flush chain {table} {chain}" for chain in chains]
        commands += [f"delete chain {table} {chain}" for chain in chains]
        if commands:
            nft.run("\n".join(commands))


def has_legacy(version: int, name: str) -> bool:
    """Return whether iptables-legacy has the table in this network namespace."""
    try:
        with open(LEGACY_TABLES[version], encoding="ascii") as names:
            return name in names.read().split()
    except OSError:
        return False
