# SPDX-License-Identifier: Apache-2.0
"""Flags of a port of a bridge (bridge(8), "link")."""

from __future__ import annotations

from cni_common.attachment.part import Difference, Part
from cni_common.kernel import bridges
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName


@dataclass(frozen=True, kw_only=True)
class PortFlags(Part):
    """Frames go back by `port` (`hairpin`), or not to others that are `isolated`."""

    port: LinkName
    hairpin: bool = False
    isolated: bool = False

    def __str__(self) -> str:
        """Return the sentence."""
        flags = (
            f"hairpin mode {_state(self.hairpin)}, isolation {_state(self.isolated)}"
        )
        return f"bridge port {self.port} has {flags}"

    def ensure(self, node: Node) -> None:
        """Set the flags, of which a new port has none; raises Code.INTERNAL."""
        if self.hairpin or self.isolated:
            self.repair(node)

    def repair(self, node: Node) -> None:
        """Set the flags; raises Code.INTERNAL."""
        hairpin, isolated = self.hairpin, self.isolated
        bridges.set_port(node.host, self.port, hairpin=hairpin, isolated=isolated)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the flags that are not so."""
        port, what = node.link(self.port), f"check bridge port {self.port}"
        if port.hairpin != self.hairpin:
            yield Difference(f"{what}: hairpin mode is {_state(port.hairpin)}")
        if port.isolated != self.isolated:
            yield Difference(f"{what}: isolation is {_state(port.isolated)}")


def _state(on: bool) -> str:  # noqa: FBT001 - private, a word for a flag
    return "on" if on else "off"
