# SPDX-License-Identifier: Apache-2.0
"""A dummy link: the container's interface, which leads nowhere."""

from __future__ import annotations

from cni_common.attachment.own_link import OwnLink
from cni_common.kernel import links
from cni_common.kernel.netlink import NetlinkError
from cni_common.spec.errors import refused
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node


@dataclass(frozen=True, kw_only=True)
class Dummy(OwnLink):
    """`inside` in the container swallows what is sent by it."""

    link_kind = "dummy"

    def add(self, node: Node, passing: str) -> None:
        """Add the dummy link, down, called `passing`; raises Code.INTERNAL."""
        inside, mac, mtu = node.container, self.mac, self.mtu
        try:
            links.add(inside, passing, self.link_kind, mac=mac, mtu=mtu, up=False)
        except NetlinkError as error:
            raise refused(f"add dummy {self.inside}", error) from error
