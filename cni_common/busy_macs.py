# SPDX-License-Identifier: Apache-2.0
"""Who has a MAC that another macvlan of the same master was to have."""

from __future__ import annotations

from contextlib import contextmanager

from cni_common.attachment import holders, record
from cni_common.kernel import links, macvlans
from cni_common.parts.macvlan import Macvlan
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Part
    from cni_common.attachment.record import Record


@contextmanager
def told(node: Node) -> Iterator[None]:
    """Name the MAC, and who has it, in an error of the block that is about it."""
    try:
        yield
    except CNIError as error:
        found = record.read(node.plugin, node.attachment)
        own = _macvlan(found)
        if own is None or not macvlans.is_mac_in_use(error):
            raise
        msg = f"set up macvlan {own.inside} on {own.master}: MAC {own.mac}"
        holder = _holder(node, own)
        raise CNIError(Code.INTERNAL, f"{msg} is in use by {holder}") from error


def _holder(node: Node, own: Macvlan) -> str:
    """Return who has the MAC on the master; the kernel tells of no link elsewhere."""
    where = node.container if own.master_inside else node.host
    if own.mac == links.existing(where, own.master).mac:
        return f"{own.master} itself"
    held = holders.living(
        node, lambda part: _is_same(part, own), inside=own.master_inside
    )
    if held is not None:
        return str(held)
    return f"another link on {own.master} that no record tells of"


def _macvlan(found: Record | None) -> Macvlan | None:
    parts = found.parts if found else ()
    return next((part for part in parts if isinstance(part, Macvlan)), None)


def _is_same(one: Part, other: Macvlan) -> bool:
    """Tell whether both are of one MAC on one master, if that is the host's."""
    return isinstance(one, Macvlan) and (one.master, one.mac, one.master_inside) == (
        other.master,
        other.mac,
        other.master_inside,
    )
