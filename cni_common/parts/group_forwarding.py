# SPDX-License-Identifier: Apache-2.0
"""Link-local frames that a bridge forwards (ip-link(8), `group_fwd_mask`)."""

from __future__ import annotations

import sys

from cni_common import state
from cni_common.attachment import record
from cni_common.attachment.part import Difference, Part
from cni_common.kernel import bridges, links
from cni_common.kernel.attributes import attribute
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName

_GROUP_FWD_MASK = 9  # IFLA_BR_GROUP_FWD_MASK, 16 bits


@dataclass(frozen=True, kw_only=True)
class GroupForwarding(Part):
    """`bridge` forwards what is for 01:80:c2:00:00:0X where bit X of `mask` is set.

    DEL leaves it: it is the network's.
    """

    bridge: LinkName
    mask: int

    def __str__(self) -> str:
        """Return the sentence."""
        return f"bridge {self.bridge} forwards link-local frames by mask {self.mask:#x}"

    def ensure(self, node: Node) -> None:
        """Set the mask; raises Code.INTERNAL."""
        with state.lock(f"bridge-{self.bridge}"):
            before = bridges.option(node.host, self.bridge, _GROUP_FWD_MASK)
            if before != self.mask:
                node.undo(self._restore, node, before)
                _set(node, self.bridge, self.mask)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield another mask."""
        found = bridges.option(node.host, self.bridge, _GROUP_FWD_MASK)
        if found != self.mask:
            what = f"check bridge {self.bridge}: its group_fwd_mask is {found:#x}"
            yield Difference(f"{what}, not {self.mask:#x}")

    def _restore(self, node: Node, before: int) -> None:
        """Restore the mask as it was `before`, if no other attachment relies on it."""
        with state.lock(f"bridge-{self.bridge}"):
            others = record.parts_of_others(
                node.plugin, node.attachment, GroupForwarding
            )
            needed = any(other.bridge == self.bridge for other in others)
            if not needed and links.get(node.host, self.bridge):
                _set(node, self.bridge, before)


def _set(node: Node, bridge: str, mask: int) -> None:
    value = attribute(_GROUP_FWD_MASK, mask.to_bytes(2, sys.byteorder))
    bridges.set_option(node.host, bridge, value)
