# SPDX-License-Identifier: Apache-2.0
"""The tables of iptables-nft, which are reached without its commands."""

from __future__ import annotations

from cni_common.kernel import nft
from cni_common.kernel.foreign_rules import Rule, deletion, rules
from cni_common.kernel.iptables import FAMILIES

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence


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
