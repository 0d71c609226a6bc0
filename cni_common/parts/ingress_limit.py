# SPDX-License-Identifier: Apache-2.0
"""What the container receives is limited, where it leaves the host."""

from __future__ import annotations

from cni_common import limited_link
from cni_common.kernel import filters, qdiscs
from cni_common.kernel.filters import Filter
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, LinkName
    from cni_common.spec.fields import IPNetwork

# One priority has one protocol, and the first that matches decides.
_PRIORITIES = {4: 1, 6: 2}


@dataclass(frozen=True, kw_only=True)
class IngressLimit(limited_link.LimitedLink):
    """What leaves the host by `link`, of that `index`, is limited.

    `rate` in bits a second, `burst` in bits; it holds a frame of `mtu` bytes at least.
    What comes from `subnets` alone is limited when `only`, else all but that. The root
    of the link is tbf, or where subnets tell traffic apart htb with one limited class.
    """

    link: LinkName
    index: Bits32
    mtu: Bits32
    rate: int
    burst: int
    subnets: tuple[IPNetwork, ...] = ()
    only: bool = False

    def __str__(self) -> str:
        """Return the sentence."""
        which = limited_link.told("from", self.subnets, only=self.only)
        rate = limited_link.rate(self.rate)
        return f"the container receives at most {rate} by {self.link}{which}"

    def ensure(self, node: Node) -> None:
        """Limit a link that has no root discipline; raises Code.INTERNAL."""
        host, link = node.host, limited_link.existing(node, self.link, self.index)
        if not self.subnets:
            qdiscs.add_tbf(host, link, self.bucket)
            node.undo(qdiscs.delete_root, host, link, self._kind)
            return
        qdiscs.add_htb(host, link, limits_by_default=not self.only)
        node.undo(qdiscs.delete_root, host, link, self._kind)
        qdiscs.add_limited_class(host, link, self.bucket)
        filters.add(host, link, qdiscs.ROOT_HANDLE, self._filters())

    def remove(self, node: Node) -> None:
        """Remove the root discipline, if the link is there. Raises Code.INTERNAL."""
        link = limited_link.find(node, self.link, self.index)
        if link is not None:
            qdiscs.delete_root(node.host, link, self._kind)

    def require(self, node: Node) -> None:
        host, link = node.host, limited_link.existing(node, self.link, self.index)
        if not self.subnets:
            limited_link.require_tbf(host, link, self.bucket)
            return
        by_default = not self.only
        limited_link.require_htb(host, link, self.bucket, by_default=by_default)
        parent = qdiscs.ROOT_HANDLE
        limited_link.require_filters(host, link, parent, self._filters())

    @property
    def _kind(self) -> str:
        return "htb" if self.subnets else "tbf"

    def _filters(self) -> list[Filter]:
        """Return the filters of packets that come from the subnets."""
        flow = qdiscs.LIMITED if self.only else qdiscs.ROOT_HANDLE
        return [
            Filter(
                _PRIORITIES[network.version],
                limited_link.PROTOCOLS[network.version],
                filters.keys(network, source=True),
                flow=flow,
            )
            for network in self.subnets
        ]
