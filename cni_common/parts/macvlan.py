# SPDX-License-Identifier: Apache-2.0
"""A macvlan: the container's interface, with a MAC of its own on a master."""

from __future__ import annotations

from cni_common.attachment.own_link import UpperLink
from cni_common.kernel import links
from cni_common.spec.values import dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.kernel.link_answer import Link


@dataclass(frozen=True, kw_only=True)
class Macvlan(UpperLink):
    """`inside` in the container stands on `master`, and says whose it is.

    `bcqueuelen` in frames is left to the kernel if 0. `mac` stays the interface's in
    mode passthru if it is `keeps_mac`: the kernel takes the master's.
    """

    mode: str = ""
    keeps_mac: bool = False
    bcqueuelen: int = 0

    link_kind = "macvlan"

    def traits(self) -> Iterator[str]:
        """Yield what the sentence says of it."""
        if self.mode:
            yield f"mode {self.mode}"
        yield from super().traits()
        if self.bcqueuelen:
            yield f"bcqueuelen {self.bcqueuelen}"

    def add(self, node: Node, passing: str) -> None:
        """Add the macvlan, down, called `passing`; raises Code.INTERNAL."""
        from cni_common.kernel import macvlans  # noqa: PLC0415 - not for DEL

        where, namespace = self.place(node)
        macvlans.add(
            where,
            self.inside,
            self.on(node),
            passing=passing,
            mode=self.mode,
            mac=self.mac,
            mtu=self.mtu,
            bc_queue_len=self.bcqueuelen,
            namespace=namespace,
        )

    def ensure(self, node: Node) -> None:
        """Ensure the macvlan is in the container, down; raises Code.INTERNAL."""
        super().ensure(node)
        if self.keeps_mac:
            links.set_mac(node.container, self.inside, self.mac)
            node.see_end(replace(node.end(self.inside), mac=self.mac))

    def faults(self, node: Node, link: Link) -> Iterator[str]:
        """Yield what of `link` is not as wanted, in words about `it`."""
        from cni_common.kernel import macvlans  # noqa: PLC0415 - not for DEL

        yield from super().faults(node, link)
        found = macvlans.get(node.container, self.inside)
        if self.mode and (found is None or found.mode != self.mode):
            yield f"its mode is {found.mode if found else 'none'}, not {self.mode}"
        length = found.bc_queue_len if found else 0
        if self.bcqueuelen not in {0, length}:
            yield f"its bcqueuelen is {length}, not {self.bcqueuelen}"

    def repair(self, node: Node) -> None:
        """Give the link its options back; raises Code.INTERNAL."""
        from cni_common.kernel import macvlans  # noqa: PLC0415 - not for DEL

        link = links.existing(node.container, self.inside)
        if self.mode:
            macvlans.change(node.container, link, self.mode, self.bcqueuelen)
