# SPDX-License-Identifier: Apache-2.0
"""Neighbours know who has the addresses now, as soon as frames reach them."""

from __future__ import annotations

from contextlib import nullcontext, suppress

from cni_common.attachment.part import Part
from cni_common.kernel import link_waits, links
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName
    from cni_common.spec.fields import IPAddress


@dataclass(frozen=True, kw_only=True)
class Announced(Part):
    """Who hears `inside` in the container, through `port` of a bridge if any.

    An address may have belonged to another container a moment ago, whose MAC the
    neighbours remember. Some drivers change no MAC while a device is up, be it to the
    same: then they are told `if_possible`. Where no MAC can be set, as of an ipvlan
    link, it is `ips` that they are told one by one.
    """

    inside: LinkName
    port: LinkName = ""
    if_possible: bool = False
    ips: tuple[IPAddress, ...] = ()

    follows_lease = True

    def __str__(self) -> str:
        """Return the sentence."""
        when = f" when {self.port} is open" if self.port else ""
        return f"neighbours learn the MAC of {self.inside}{when}"

    def ensure(self, node: Node) -> None:
        """Wait for the port, then tell the neighbours; raises Code.INTERNAL."""
        if self.port:
            node.see(link_waits.port_enabled(node.host, self.port))
        if self.ips:
            self._tell_each(node)
            return
        with suppress(CNIError) if self.if_possible else nullcontext():
            links.announce(node.container, node.end(self.inside))

    def _tell_each(self, node: Node) -> None:
        from cni_common.kernel import announcements  # noqa: PLC0415 - for ipvlan alone

        with node.entered():
            for address in self.ips:
                announcements.send(node.end(self.inside), address)
