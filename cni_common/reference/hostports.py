# SPDX-License-Identifier: Apache-2.0
"""portmap of the reference: chains in iptables, or rules in tables of nftables."""

from __future__ import annotations

from contextlib import suppress

from cni_common.frame.rollback import Gather
from cni_common.kernel.foreign_rules import MANY, settled
from cni_common.kernel.iptables import FAMILIES
from cni_common.reference import names, own_table, tables
from cni_common.spec.errors import CNIError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Interface, IPv6Interface

    from cni_common.kernel.foreign_rules import Rule
    from cni_common.naming import Attachment
    from cni_common.reference.tables import Table

# A container's chain, and the one that its entries stand in. CNI-SN is of releases
# before 0.7.
ENTRIES = {"CNI-DN-": "CNI-HOSTPORT-DNAT", "CNI-SN-": "CNI-HOSTPORT-SNAT"}
SHARED = {
    "CNI-HOSTPORT-DNAT": ("PREROUTING", "OUTPUT"),
    "CNI-HOSTPORT-SNAT": ("POSTROUTING",),
    "CNI-HOSTPORT-MASQ": ("POSTROUTING",),
    "CNI-HOSTPORT-SETMARK": (),
}
TRANSLATING = ["hostports", "hostip_hostports"]


def delete(
    attachment: Attachment, addresses: Iterable[IPv4Interface | IPv6Interface] = ()
) -> None:
    """No rule of the reference publishes a port of `attachment` any more.

    In nftables the reference marks its rules with the container ID alone: with
    `addresses` those go that lead to one of them, else all of the container.
    """
    known = tuple(addresses)
    with Gather() as errors:
        for opened in tables.tables():
            if errors.attempt(settled, _iptables, opened, attachment):
                errors.attempt(_shared_chains, opened)
        for version, family in FAMILIES.items():
            wanted = tables.of_version(version, known)
            errors.attempt(settled, _nftables, family, attachment.container_id, wanted)


def _iptables(opened: Callable[[], Table], attachment: Attachment) -> bool:
    """Return whether the container was there and perhaps the last one.

    Others may leave at the same moment, each seeing the rest.
    """
    table = opened()
    doomed: list[Rule] = []
    chains: list[str] = []
    others = 0
    for prefix, entries in ENTRIES.items():
        chain = names.chain(prefix, attachment)
        if table.has(chain):
            found = table.rules(entries)
            entered = [rule for rule in found if rule.target == chain]
            others += len(found) - len(entered)
            doomed += entered
            chains.append(chain)
    table.remove(doomed, chains)
    return bool(chains) and others < MANY


def _shared_chains(opened: Callable[[], Table]) -> None:
    """Remove the chains that all containers share, if no container is left in them."""
    table = opened()
    if any(table.rules(chain) for chain in ENTRIES.values()):
        return
    chains = [chain for chain in SHARED if table.has(chain)]
    doomed = [
        rule
        for chain in chains
        for caller in SHARED[chain]
        for rule in tables.jumps(table, caller, chain)
    ]
    # An ADD of the reference at this moment jumps to CNI-HOSTPORT-SETMARK before it
    # makes its entry; the refusal that this brings says that they are in use.
    with suppress(CNIError):
        table.remove(doomed, chains)


def _nftables(family: str, container_id: str, wanted: set[str]) -> None:
    def owned(rules: list[Rule]) -> list[Rule]:
        marked = [rule for rule in rules if rule.comment == container_id]
        others = [r for r in marked if r.destinations and not r.destinations & wanted]
        if not wanted or not others:
            return marked
        return [rule for rule in marked if rule.destinations & wanted]

    own_table.remove(family, "cni_hostport", [*TRANSLATING, "masquerading"], owned)
