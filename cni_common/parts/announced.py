# SPDX-License-Identifier: Apache-2.0
"""The port of a bridge is open, and neighbours know who has the addresses now."""

from __future__ import annotations

from cni_common.attachment.part import Difference, Part
from cni_common.kernel import links
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName


@dataclass(frozen=True, kw_only=True)
class Announced(Part):
    """Frames pass between `inside` in the container and `port` of the bridge.

    An address may have belonged to another container a moment ago, whose MAC the
    neighbours remember.
    """

    port: LinkName
    inside: LinkName

    def __str__(self) -> str:
        """Return the sentence."""
        return f"neighbours learn the MAC of {self.inside} when {self.port} is open"

    def ensure(self, node: Node) -> None:
        """Wait for the port, then tell the neighbours; raises code 999."""
        node.see(links.wait_port_enabled(node.host, self.port))
        links.announce(node.container, node.end(self.inside))

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield nothing: whether somebody heard of it is not to be seen."""
        del node
        yield from ()
