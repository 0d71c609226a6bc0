# SPDX-License-Identifier: Apache-2.0
"""An ipvlan link: the container's interface, told from others by its addresses."""

from __future__ import annotations

from cni_common.attachment.own_link import UpperLink
from cni_common.kernel import links
from cni_common.spec.values import dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.kernel.link_answer import Link


@dataclass(frozen=True, kw_only=True)
class Ipvlan(UpperLink):
    """`inside` in the container has the MAC of `master`, whatever that becomes."""

    mode: str = ""

    link_kind = "ipvlan"

    def traits(self) -> Iterator[str]:
        """Yield what the sentence says of it."""
        yield f"mode {self.mode}"
        yield from super().traits()

    def add(self, node: Node, passing: str) -> None:
        """Add the ipvlan link, down, called `passing`; raises Code.INTERNAL."""
        from cni_common.kernel import ipvlans  # noqa: PLC0415 - not for DEL

        where, namespace = self.place(node)
        ipvlans.add(
            where,
            self.inside,
            self.on(node),
            passing=passing,
            mode=self.mode,
            mtu=self.mtu,
            namespace=namespace,
        )

    def made(self, node: Node) -> Self:
        """Return it with the index that it has got; the MAC is the master's."""
        return replace(self, index=node.end(self.inside).index)

    def faults(self, node: Node, link: Link) -> Iterator[str]:
        """Yield what of `link` is not as wanted, in words about `it`."""
        from cni_common.kernel import ipvlans  # noqa: PLC0415 - not for DEL

        yield from super().faults(node, link)
        mode = ipvlans.mode_of(node.container, self.inside)
        if mode != self.mode:
            yield f"its mode is {mode or 'none'}, not {self.mode}"

    def repair(self, node: Node) -> None:
        """Give the link, and all others on its master, their mode back.

        Raises Code.INTERNAL.
        """
        from cni_common.kernel import ipvlans  # noqa: PLC0415 - not for DEL

        link = links.existing(node.container, self.inside)
        ipvlans.change(node.container, link, self.mode)
