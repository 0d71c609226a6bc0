# SPDX-License-Identifier: Apache-2.0
"""A tap: the container's interface, at whose other end is a process there."""

from __future__ import annotations

from cni_common.attachment.own_link import OwnLink
from cni_common.kernel import links
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, LinkName
    from cni_common.kernel import taps
    from cni_common.kernel.link_answer import Link

_ANYBODY = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Tap(OwnLink):
    """`inside` can be opened by `owner` and `group`, and is a port of `bridge`, if any.

    The bridge is one of the container. Who is not both needs CAP_NET_ADMIN.
    """

    multi_queue: bool = False
    owner: Bits32 = _ANYBODY
    group: Bits32 = _ANYBODY
    selinux_context: str = ""
    bridge: LinkName = ""

    link_kind = "tun"

    def traits(self) -> Iterator[str]:
        """Yield what the sentence says of it."""
        yield "type tap"
        if self.multi_queue:
            yield "multi_queue"
        if self.owner != _ANYBODY:
            yield f"user {self.owner}"
        if self.group != _ANYBODY:
            yield f"group {self.group}"
        if self.selinux_context:
            yield f"SELinux context {self.selinux_context}"
        if self.bridge:
            yield f"port of the container's {self.bridge}"
        yield from super().traits()

    def add(self, node: Node, passing: str) -> None:
        """Add the tap, down, called `passing`; raises Code.INTERNAL."""
        from cni_common.kernel import taps  # noqa: PLC0415 - not for DEL

        bridge = self._bridge(node) if self.bridge else None
        with node.entered():
            taps.add(passing, self.inside, self._wanted(), context=self.selinux_context)
        taps.configure(
            node.container,
            passing,
            self.inside,
            mac=self.mac,
            mtu=self.mtu,
            bridge=bridge,
        )

    def faults(self, node: Node, link: Link) -> Iterator[str]:
        """Yield what of `link` is not as wanted, in words about `it`."""
        from cni_common.kernel import taps  # noqa: PLC0415 - not for DEL

        wanted, found = self._wanted(), taps.get(node.container, self.inside)
        if found is not None and found != wanted:
            yield f"it is {_words(found)}, not {_words(wanted)}"
        bridge = links.get(node.container, self.bridge) if self.bridge else None
        if self.bridge and (bridge is None or link.master != bridge.index):
            yield f"it is no port of {self.bridge}"
        yield from super().faults(node, link)

    def repair(self, node: Node) -> None:
        """Give the tap its bridge, owner and group back; raises Code.INTERNAL."""
        from cni_common.kernel import taps  # noqa: PLC0415 - not for DEL

        wanted = self._wanted()
        if taps.get(node.container, self.inside) != wanted:
            with node.entered():
                taps.give(self.inside, wanted)
        if self.bridge:
            taps.configure(
                node.container, self.inside, self.inside, bridge=self._bridge(node)
            )

    def _wanted(self) -> taps.Tap:
        from cni_common.kernel import taps  # noqa: PLC0415 - not for DEL

        return taps.Tap(self.owner, self.group, self.multi_queue)

    def _bridge(self, node: Node) -> Link:
        found = links.get(node.container, self.bridge)
        if found is None or found.kind != "bridge":
            why = "no such device" if found is None else "it is no bridge"
            hint = "a tap in the container can be a port of a bridge there alone"
            msg = f"find bridge {self.bridge} in the container: {why}"
            raise CNIError(Code.INTERNAL, msg, hint)
        return found


def _words(tap: taps.Tap) -> str:
    """Return what ip-link(8) says of the tap."""
    found = ["multi_queue"] if tap.multi_queue else []
    found += [f"user {tap.owner}"] if tap.owner != _ANYBODY else []
    found += [f"group {tap.group}"] if tap.group != _ANYBODY else []
    return " ".join(found) or "of anybody"
