# SPDX-License-Identifier: Apache-2.0
"""A device of the host that the container has until its end."""

from __future__ import annotations

from cni_common import homecoming, saved_device
from cni_common.attachment.part import Difference, Part
from cni_common.kernel import identities, link_moves, links
from cni_common.spec.values import dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName, Mac
    from cni_common.kernel.link_answer import Link
    from cni_common.saved_device import SavedDevice


@dataclass(frozen=True, kw_only=True)
class MovedDevice(Part):
    """`inside` in the container is the `device`, whose alias is its name on the host.

    The reference plugin's DEL, and people, find the name there. A `mac` that is empty
    is not looked at, and neither is which device it is if that is not known.
    """

    inside: LinkName
    device: SavedDevice | None = None
    mac: Mac = ""

    def __str__(self) -> str:
        """Return the sentence."""
        name = self.device.name if self.device else "of the host"
        return f"{self.inside} in the container is the device {name}"

    def ensure(self, node: Node) -> None:
        """Ensure the device is in the container, down; raises Code.INTERNAL."""
        if self.device is not None:
            name, path = self.device.name, node.namespace.path
            node.undo(homecoming.bring_back, node, self.device, path, whole=True)
            link = node.link(name)
            link_moves.move(node.host, link, node.namespace, self.inside, alias=name)

    def made(self, node: Node) -> MovedDevice:
        """Return it with what tells the device, now that it is in the container."""
        if self.device is None:
            return self
        link = node.end(self.inside)
        return replace(
            self, device=saved_device.moved(self.device, node.container, link)
        )

    def remove(self, node: Node) -> None:
        """Move the device to the host, as it was there; raises Code.INTERNAL.

        Its master, addresses and routes come back where ADD was killed: otherwise they
        are for those who configured the host.
        """
        if self.device is not None:
            whole = not (node.record and node.record.complete)
            homecoming.bring_back(node, self.device, node.living(), whole=whole)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is not as wanted of the link."""
        link, what = (
            links.get(node.container, self.inside),
            f"check interface {self.inside}",
        )
        if link is None:
            yield Difference(f"{what}: it does not exist")
            return
        node.see_end(link)
        if self.device is not None:
            name = self.device.name
            if not self._is_it(node, link):
                yield Difference(f"{what}: it is not the device {name} of ADD")
            if link.alias != name:
                yield Difference(f"{what}: its alias is {link.alias!r}, not {name!r}")
        if self.mac and link.mac != self.mac:
            yield Difference(f"{what}: its MAC is {link.mac}, not {self.mac}")

    def lasting(self) -> Self:
        """Return it without the MAC, which a later plugin may change."""
        return replace(self, mac="")

    def loss(self, node: Node) -> str:
        """Return that the device is gone, if it is."""
        link = links.get(node.container, self.inside)
        if link is None or not self._is_it(node, link):
            return "the device is not there, and only a new container gets one"
        return ""

    def repair(self, node: Node) -> None:
        """Set its alias to its name on the host; raises Code.INTERNAL."""
        if self.device is not None:
            links.set_alias(node.container, self.inside, self.device.name)

    def _is_it(self, node: Node, link: Link) -> bool:
        identity = identities.read(node.container, link)
        return self.device is None or self.device.is_this(link, identity)
