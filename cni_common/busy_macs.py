# SPDX-License-Identifier: Apache-2.0
"""Who has a MAC that another macvlan of the same master was to have."""

from __future__ import annotations

from contextlib import contextmanager

from cni_common.attachment import record
from cni_common.kernel import links, macvlans, netns
from cni_common.parts.macvlan import Macvlan
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.record import Record


@contextmanager
def told(node: Node) -> Iterator[None]:
    """Name the MAC, and who has it, in an error of the block that is about it."""
    try:
        yield
    except CNIError as error:
        found = record.read(node.plugin, node.attachment)
        own = _macvlan(found)
        if found is None or own is None or not macvlans.is_mac_in_use(error):
            raise
        msg = f"set up macvlan {own.inside} on {own.master}: MAC {own.mac}"
        holder = _holder(node, found, own)
        raise CNIError(Code.INTERNAL, f"{msg} is in use by {holder}") from error


def _holder(node: Node, found: Record, own: Macvlan) -> str:
    """Return who has the MAC on the master; the kernel tells of no link elsewhere."""
    where = node.container if own.master_inside else node.host
    if own.mac == links.existing(where, own.master).mac:
        return f"{own.master} itself"
    for other, theirs in record.others(node.plugin, node.attachment):
        same_place = theirs.netns_identity == found.netns_identity
        if (
            _is_same(_macvlan(theirs), own)
            and (same_place or not own.master_inside)
            and netns.lives(theirs.netns, theirs.netns_identity)
        ):
            return str(other)
    return f"another link on {own.master} that no record tells of"


def _macvlan(found: Record | None) -> Macvlan | None:
    parts = found.parts if found else ()
    return next((part for part in parts if isinstance(part, Macvlan)), None)


def _is_same(one: Macvlan | None, other: Macvlan) -> bool:
    """Tell whether both are of one MAC on one master, if that is the host's."""
    return one is not None and (one.master, one.mac, one.master_inside) == (
        other.master,
        other.mac,
        other.master_inside,
    )
