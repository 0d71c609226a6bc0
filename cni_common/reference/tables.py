# SPDX-License-Identifier: Apache-2.0
"""The tables of iptables that exist here, whichever variant wrote them."""

from __future__ import annotations

from functools import partial

from cni_common.kernel.iptables import has_legacy
from cni_common.reference.legacy import LegacyTable
from cni_common.reference.nft import NftTable

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from ipaddress import IPv4Interface, IPv6Interface
    from typing import Protocol

    from cni_common.kernel.foreign_rules import Rule

    class Table(Protocol):
        """What is asked of a table and done to it."""

        version: int

        def has(self, chain: str) -> bool: ...

        def rules(self, chain: str) -> list[Rule]: ...

        def remove(self, doomed: Sequence[Rule], chains: Sequence[str]) -> None: ...


def tables(name: str = "nat") -> list[Callable[[], Table]]:
    """Return what opens each table called `name`; opened anew it is read anew.

    One of iptables-legacy is among them only if this network namespace has it:
    reading it starts a process.
    """
    opens: list[Callable[[], Table]] = [partial(NftTable, v, name) for v in (4, 6)]
    opens += [partial(LegacyTable, v, name) for v in (4, 6) if has_legacy(v, name)]
    return opens


def jumps(table: Table, chain: str, target: str) -> list[Rule]:
    """Return the rules of `chain` that hand packets on to `target`."""
    return [rule for rule in table.rules(chain) if rule.target == target]


def of_version(
    version: int, addresses: Iterable[IPv4Interface | IPv6Interface]
) -> set[str]:
    """Return the addresses of one version of IP, as rules show them.

    Link-local ones are the kernel's own; the reference makes no rules for them.
    """
    return {
        str(address.ip)
        for address in addresses
        if address.version == version and not address.ip.is_link_local
    }
