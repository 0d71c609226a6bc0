# SPDX-License-Identifier: Apache-2.0
"""firewall of the reference: rules by address in the filter tables of iptables."""

from __future__ import annotations

from contextlib import suppress

from cni_common.frame.rollback import Gather
from cni_common.kernel.foreign_rules import MANY, settled
from cni_common.reference import tables
from cni_common.spec.errors import CNIError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Interface, IPv6Interface

    from cni_common.reference.tables import Table

FORWARD, ADMITTED, ADMIN = "FORWARD", "CNI-FORWARD", "CNI-ADMIN"
# Of an accept nftables tells no target, iptables-legacy this one.
ACCEPT = ("", "ACCEPT")


def delete(addresses: Iterable[IPv4Interface | IPv6Interface]) -> None:
    """No rule of the reference lets `addresses` through any more.

    Its rules say nothing but the address. Ours have their owner's comment besides,
    and are left alone. The chains that all containers share go with the last one,
    the administrator's if it is empty; what ingressPolicy made stays, as it names
    bridges only.
    """
    known = tuple(addresses)
    if not known:
        return
    with Gather() as errors:
        for opened in tables.tables("filter"):
            if errors.attempt(settled, _rules, opened, known):
                errors.attempt(_shared_chains, opened)


def _rules(
    opened: Callable[[], Table], known: tuple[IPv4Interface | IPv6Interface, ...]
) -> bool:
    """Return whether there were rules, and perhaps the last ones."""
    table = opened()
    wanted = tables.of_version(table.version, known)
    if not wanted or not table.has(ADMITTED):
        return False
    found = [r for r in table.rules(ADMITTED) if r.target in ACCEPT]
    doomed = [
        rule
        for rule in found
        if not rule.comment and (rule.sources | rule.destinations) & wanted
    ]
    table.remove(doomed, [])
    return bool(doomed) and len(found) - len(doomed) < MANY


def _shared_chains(opened: Callable[[], Table]) -> None:
    """Remove the chains that all containers share, if no container is left in them."""
    table = opened()
    entries = table.rules(ADMITTED)
    if any(rule.target != ADMIN for rule in entries):
        return
    doomed = [*tables.jumps(table, FORWARD, ADMITTED), *entries]
    chains = [ADMITTED]
    if table.rules(ADMIN):
        return
    if table.has(ADMIN):
        chains.append(ADMIN)
    # An ADD of the reference at this moment gets it refused.
    with suppress(CNIError):
        table.remove(doomed, chains)
