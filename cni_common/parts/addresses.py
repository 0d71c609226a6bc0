# SPDX-License-Identifier: Apache-2.0
"""Addresses and routes of the container's interface; its neighbours know them."""

from __future__ import annotations

from contextlib import nullcontext

from cni_common import layer3
from cni_common.attachment.part import Difference, Part, differences_of
from cni_common.kernel import addresses, link_waits, links
from cni_common.spec.result import Result
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName
    from cni_common.spec.result import IP, Route


@dataclass(frozen=True, kw_only=True)
class Addresses(Part):
    """`inside` is up in the container, with `ips` and `routes`, usable at once.

    Unless it `detects_duplicates`: then the kernel asks the network first, by `port`.
    One `on_macvlan` needs a MAC that is free there. With `by_gateways` alone it takes
    no redirect.
    """

    inside: LinkName
    ips: tuple[IP, ...] = ()
    routes: tuple[Route, ...] = ()
    port: LinkName = ""
    detects_duplicates: bool = False
    on_macvlan: bool = False
    by_gateways: bool = False

    follows_lease = True

    def __str__(self) -> str:
        """Return the sentence."""
        held = ", ".join(str(ip.address) for ip in self.ips) or "no address"
        routes = "".join(f", route {_route(route)}" for route in self.routes)
        more = ", and takes no redirects" if self.by_gateways else ""
        return f"{self.inside} in the container is up with {held}{routes}{more}"

    def ensure(self, node: Node) -> None:
        """Set the interface up and give it what it is to have; raises Code.INTERNAL."""
        with self._told(node):
            layer3.configure(
                node,
                self.inside,
                Result(ips=list(self.ips), routes=list(self.routes)),
                link=node.end(self.inside),
                detect_duplicates=self.detects_duplicates,
                await_carrier=lambda: link_waits.port_enabled(node.host, self.port),
                ignore_redirects=self.by_gateways,
            )

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is not as wanted of the interface."""
        link = node.end(self.inside)
        if not link.is_up:
            yield Difference(f"check interface {self.inside}: it is down")
        port = node.link(self.port) if self.port else None
        if port is not None and not port.port_enabled:
            yield Difference(f"check bridge port {port.name}: it is disabled")
        yield from differences_of(
            layer3.check_addresses, node.container, link, self.ips
        )
        for route in self.routes:
            yield from differences_of(
                layer3.check_route, node.container, link, route, self.ips
            )

    def repair(self, node: Node) -> None:
        """Give the interface back what it lacks; raises Code.INTERNAL."""
        link, inside = node.end(self.inside), node.container
        if not link.is_up:
            with self._told(node):
                links.set_up(inside, link.name)
        if self.port:
            link_waits.port_enabled(node.host, self.port)
        detect = self.detects_duplicates
        layer3.prepare(node, link.name, self.ips, detect_duplicates=detect)
        if self.by_gateways:
            layer3.refuse_redirects(node, link.name)
        for ip in self.ips:
            addresses.ensure(inside, link, ip.address)
        layer3.ensure_subnets(inside, link, [ip.address for ip in self.ips])
        for route in self.routes:
            if list(differences_of(layer3.check_route, inside, link, route, self.ips)):
                on_link = layer3.gateways_outside(self.ips)
                inside.carry_out(
                    *layer3.additions(link, [route], self.ips, on_link=on_link)
                )

    def _told(self, node: Node) -> AbstractContextManager[None]:
        """Return a block whose error about a MAC in use says who has it."""
        if not self.on_macvlan:
            return nullcontext()
        from cni_common import busy_macs  # noqa: PLC0415 - for macvlans alone

        return busy_macs.told(node)


def _route(route: Route) -> str:
    return f"{route.dst} via {route.gw}" if route.gw else str(route.dst)
