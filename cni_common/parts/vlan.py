# SPDX-License-Identifier: Apache-2.0
"""A VLAN of a master: the container's interface, with the master's MAC."""

from __future__ import annotations

from cni_common.attachment.own_link import UpperLink
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.kernel.link_answer import Link


@dataclass(frozen=True, kw_only=True)
class Vlan(UpperLink):
    """`inside` in the container sends by `master` with the tag `vlan_id`.

    With 0 the tag says a priority only.
    """

    vlan_id: int = 0

    link_kind = "vlan"

    def traits(self) -> Iterator[str]:
        """Yield what the sentence says of it."""
        yield f"id {self.vlan_id}"
        yield from super().traits()

    def add(self, node: Node, passing: str) -> None:
        """Add the VLAN, down, called `passing`; raises Code.INTERNAL.

        Whoever has it already is named.
        """
        from cni_common import busy_vlans  # noqa: PLC0415 - not for DEL
        from cni_common.kernel import vlans  # noqa: PLC0415 - not for DEL

        where, namespace = self.place(node)
        with busy_vlans.told(node, self):
            vlans.add(
                where,
                self.on(node),
                passing=passing,
                vlan_id=self.vlan_id,
                mtu=self.mtu,
                namespace=namespace,
            )

    def faults(self, node: Node, link: Link) -> Iterator[str]:
        """Yield what of `link` is not as wanted, in words about `it`."""
        from cni_common.kernel import vlans  # noqa: PLC0415 - not for DEL

        yield from super().faults(node, link)
        found = vlans.id_of(node.container, link)
        if found != self.vlan_id:
            yield f"its VLAN is {found}, not {self.vlan_id}"

    def loss(self, node: Node) -> str:
        """Return that the link is gone, or is another VLAN: no VLAN becomes another."""
        from cni_common.attachment.own_link import GONE  # noqa: PLC0415 - rare
        from cni_common.kernel import vlans  # noqa: PLC0415 - not for DEL

        lost = super().loss(node)
        if lost or vlans.id_of(node.container, node.end(self.inside)) == self.vlan_id:
            return lost
        return GONE
