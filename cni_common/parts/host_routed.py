# SPDX-License-Identifier: Apache-2.0
"""Addresses of a container that is alone with the host on its link (`peer_routes`)."""

from __future__ import annotations

from cni_common import layer3, peer_routes
from cni_common.attachment import deletion, record
from cni_common.attachment.part import Difference, Part, differences_of
from cni_common.kernel import addresses, ipv6, link_waits, links, netns, route_get
from cni_common.kernel.routes import TakenError
from cni_common.parts.veth import Veth
from cni_common.spec.result import Result
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName
    from cni_common.attachment.record import Record
    from cni_common.naming import Attachment
    from cni_common.spec.result import IP, Route


@dataclass(frozen=True, kw_only=True)
class HostRouted(Part):
    """`inside` has `ips` and `routes`; `host` has their gateways, and a way to each.

    They are usable on return.
    """

    host: LinkName
    inside: LinkName
    ips: tuple[IP, ...]
    routes: tuple[Route, ...] = ()

    follows_lease = True

    def __str__(self) -> str:
        """Return the sentence."""
        held = ", ".join(str(ip.address) for ip in self.ips)
        gateways = ", ".join(str(each.ip) for each in peer_routes.gateways(self.ips))
        return f"{self.inside} in the container has {held}; {self.host} has {gateways}"

    def ensure(self, node: Node) -> None:
        """Set both ends up and give them what they are to have.

        Raises Code.INTERNAL.
        """
        inside, outside = node.end(self.inside), node.link(self.host)
        without_routes = Result(ips=list(self.ips))
        layer3.configure(
            node, self.inside, without_routes, link=inside, prefix_routes=False
        )
        peer_routes.add(node.container, inside, peer_routes.container_routes(self.ips))
        node.container.carry_out(*layer3.additions(inside, self.routes, self.ips))
        held = peer_routes.gateways(self.ips)
        node.host.carry_out(
            *addresses.additions(node.host, outside, held, prefix_routes=False)
        )
        for ip in self.ips:
            self._route_to_container(node, ip)
        node.see(link_waits.operational(node.host, self.host))

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what either end lacks."""
        host, outside = node.host, node.link(self.host)
        container, inside = node.container, node.end(self.inside)
        # Each of ours has one; a later plugin may have added others.
        routed = [ip for ip in self.ips if ip.gateway is not None]
        yield from differences_of(layer3.check_addresses, container, inside, self.ips)
        for own in peer_routes.container_routes(routed):
            yield from differences_of(peer_routes.check, container, inside, [own])
        for route in self.routes:
            yield from differences_of(
                layer3.check_route, container, inside, route, self.ips
            )
        held = layer3.held(host, outside)
        for address in peer_routes.gateways(routed):
            if address not in held:
                msg = f"check interface {outside.name}: it lacks {address}"
                yield Difference(msg)
        for own in peer_routes.host_routes(routed):
            yield from differences_of(peer_routes.check, host, outside, [own])

    def repair(self, node: Node) -> None:
        """Give both ends back what they lack; raises Code.INTERNAL."""
        container, inside = node.container, node.end(self.inside)
        if not inside.is_up:
            links.set_up(container, inside.name)
        layer3.prepare(node, inside.name, self.ips)
        for ip in self.ips:
            addresses.ensure(container, inside, ip.address, prefix_route=False)
        for own in peer_routes.container_routes(self.ips):
            if list(differences_of(peer_routes.check, container, inside, [own])):
                peer_routes.add(container, inside, [own])
        for route in self.routes:
            check = (layer3.check_route, container, inside, route, self.ips)
            if list(differences_of(*check)):
                container.carry_out(*layer3.additions(inside, [route], self.ips))
        self._repair_host_end(node)

    def _repair_host_end(self, node: Node) -> None:
        outside = node.link(self.host)
        for address in peer_routes.gateways(self.ips):
            if address.version == 6:  # noqa: PLR2004 - the family's number
                ipv6.enable(outside.name)
            addresses.ensure(node.host, outside, address, prefix_route=False)
        for ip in self.ips:
            wanted = peer_routes.host_routes([ip])
            if list(differences_of(peer_routes.check, node.host, outside, wanted)):
                self._route_to_container(node, ip)

    def _route_to_container(self, node: Node, ip: IP) -> None:
        """Ensure the host sends what is for `ip` to the container.

        An address that somebody else has is an error, unless that container is gone:
        then what is left of it goes too.
        """
        wanted, link = peer_routes.host_routes([ip]), node.link(self.host)
        try:
            peer_routes.add(node.host, link, wanted, exclusive=True)
        except TakenError as error:
            present = route_get.link_towards(ip.address.ip)
            found = _holder_of(node, present)
            if found is None or netns.lives(found[1].netns, found[1].netns_identity):
                owner = f" of {found[0]}" if found else ""
                error.details = f"it leads through {present}{owner}"
                raise
            deletion.delete_stale(node.plugin, found[0], ("veth",))
            peer_routes.add(node.host, link, wanted, exclusive=True)


def _holder_of(node: Node, link: str) -> tuple[Attachment, Record] | None:
    """Return whose the host's end `link` is, and its record."""
    for attachment, found in record.of_plugin(node.plugin):
        if any(isinstance(p, Veth) and p.host == link for p in found.parts):
            return attachment, found
    return None
