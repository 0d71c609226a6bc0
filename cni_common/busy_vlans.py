# SPDX-License-Identifier: Apache-2.0
"""Who has a VLAN that a container was to have: a master has each one once."""

from __future__ import annotations

from contextlib import contextmanager

from cni_common.attachment import holders
from cni_common.kernel import vlans
from cni_common.parts.vlan import Vlan
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Part

_WAY_OUT = (
    "a master has each VLAN once: for several containers put it into a bridge or under"
    " macvlan, as a link of the host"
)


@contextmanager
def told(node: Node, own: Vlan) -> Iterator[None]:
    """Say who has the VLAN, and the way out, in an error that it is taken."""
    try:
        yield
    except CNIError as error:
        if not vlans.is_taken(error):
            raise
        msg = f"add VLAN {own.vlan_id} on {own.on(node).name}: it is held by"
        holder = _holder(node, own)
        raise CNIError(Code.INTERNAL, f"{msg} {holder}", _WAY_OUT) from error


def _holder(node: Node, own: Vlan) -> str:
    """Return who has the VLAN; the kernel tells of no link in another namespace."""
    where, namespace = own.place(node)
    held = holders.living(
        node, lambda part: _is_same(part, own), inside=own.master_inside
    )
    if held is not None:
        return str(held)
    beside = vlans.find(where, own.on(node), own.vlan_id)
    if beside is not None:
        place = "the host" if namespace else "the container"
        return f"link {beside.name} of {place}"
    return "a link in another namespace that no record tells of"


def _is_same(part: Part, own: Vlan) -> bool:
    """Tell whether both are the VLAN of one master, if that is the host's."""
    return isinstance(part, Vlan) and (
        (part.master, part.master_inside, part.vlan_id)
        == (own.master, own.master_inside, own.vlan_id)
    )
