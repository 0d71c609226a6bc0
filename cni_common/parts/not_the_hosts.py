# SPDX-License-Identifier: Apache-2.0
"""The addresses of the container are not the host's: that is made sure of, not made."""

from __future__ import annotations

from cni_common import overlaps
from cni_common.attachment.part import Part
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName
    from cni_common.spec.result import IP


@dataclass(frozen=True, kw_only=True)
class NotTheHosts(Part):
    """The host has none of the addresses of `ips`, on `link` if one is named.

    With `gateways` it is no neighbour of what would become its own address.
    """

    ips: tuple[IP, ...]
    link: LinkName = ""
    gateways: bool = False

    follows_lease = True

    def __str__(self) -> str:
        """Return the sentence."""
        listed = ", ".join(str(ip.address.ip) for ip in self.ips)
        return f"the host itself does not have {listed}"

    def ensure(self, node: Node) -> None:
        """Raise Code.INTERNAL for what the host has already."""
        if self.gateways:
            overlaps.refuse_gateways(node.host, self.ips)
        overlaps.refuse_own(self.ips, link=self.link)
