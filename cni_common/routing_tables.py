# SPDX-License-Identifier: Apache-2.0
"""Numbers of routing tables in a container, which several of its interfaces choose."""

from __future__ import annotations

from itertools import count, islice

from cni_common.kernel import rules, saved_routes, vrfs

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node

RESERVED = range(253, 256)  # default, main and local


def take_turn(node: Node) -> None:
    """Have no other call choose or count in the container until this one ends.

    Locks are not one a namespace: they stay.
    """
    node.lock(f"routing-{node.namespace.identity[-3:]}")


def free(node: Node, number: int, first: int) -> tuple[int, ...]:
    """Return the first tables from `first` on that nobody uses, be it without a route.

    Whoever calls has its turn. Raises Code.INTERNAL.
    """
    inside = node.container
    taken = {*RESERVED, *saved_routes.links_of_tables(inside)}
    taken.update(rule.table for rule in rules.listed(inside))
    taken.update(vrfs.tables(inside))
    return tuple(islice((n for n in count(first) if n not in taken), number))
