# SPDX-License-Identifier: Apache-2.0
"""ipMasq of the reference: a chain in iptables, or rules in a table of nftables."""

from __future__ import annotations

from cni_common.frame.rollback import Gather
from cni_common.kernel.foreign_rules import settled
from cni_common.reference import names, own_table, tables

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Interface, IPv6Interface

    from cni_common.kernel.foreign_rules import Rule
    from cni_common.naming import Attachment
    from cni_common.reference.tables import Table


def delete(
    attachment: Attachment, addresses: Iterable[IPv4Interface | IPv6Interface] = ()
) -> None:
    """No rule of the reference masquerades `attachment` any more.

    Its chain in iptables serves all interfaces that a container has on a network:
    with `addresses` only their rules go, and the chain with the last of them.
    """
    known = tuple(addresses)
    with Gather() as errors:
        for opened in tables.tables():
            errors.attempt(settled, _iptables, opened, attachment, known)
        errors.attempt(settled, _nftables, attachment)


def _iptables(
    opened: Callable[[], Table],
    attachment: Attachment,
    known: tuple[IPv4Interface | IPv6Interface, ...],
) -> None:
    table, chain = opened(), names.chain("CNI-", attachment)
    if not table.has(chain):
        return
    wanted = tables.of_version(table.version, known)
    found = tables.jumps(table, "POSTROUTING", chain)
    doomed = [rule for rule in found if not wanted or rule.sources & wanted]
    table.remove(doomed, [chain] if len(doomed) == len(found) else [])


def _nftables(attachment: Attachment) -> None:
    start = names.masquerade_comment(attachment)

    def owned(rules: list[Rule]) -> list[Rule]:
        return [rule for rule in rules if rule.comment.startswith(start)]

    own_table.remove("inet", "cni_plugins_masquerade", ["masq_checks"], owned)
