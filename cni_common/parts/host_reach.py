# SPDX-License-Identifier: Apache-2.0
"""The host reaches a container on a link of its own, and is reached by it."""

from __future__ import annotations

import ipaddress

from cni_common import attachments, reach_link
from cni_common.attachment.part import Difference, Part, differences_of
from cni_common.frame.rollback import Gather
from cni_common.kernel import links, routes
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.fields import IPAddress, IPInterface


@dataclass(frozen=True, kw_only=True)
class HostReach(Part):
    """The host has a route to each of `ips` of `inside` by its own `link` on `master`.

    The source is an address of the master, as the container knows it: in `mode` l2 with
    its MAC, for nobody on the master answers when a container asks. Packets have up to
    `mtu` bytes, 0 is the link's.
    """

    inside: LinkName
    master: LinkName
    link: LinkName
    mode: str
    ips: tuple[IPInterface, ...]
    mtu: int = 0

    follows_lease = True

    def __str__(self) -> str:
        """Return the sentence."""
        listed = ", ".join(str(each.ip) for each in self.ips)
        return f"{self.master} and {listed} reach each other by {self.link} of the host"

    def ensure(self, node: Node) -> None:
        """Make link, routes and neighbours; raises Code.INTERNAL."""
        master = node.link(self.master)
        reach_link.require_possible(node.host, master, self.mode)
        own = reach_link.own_addresses(node.host, master)
        node.undo(self.remove, node)
        with reach_link.lock():
            reach_link.hold(self.link, node.attachment)
            link = self._own_link(node)
            for each in self.ips:
                if each.version in own:
                    source = own[each.version][0]
                    _replace_route(node, link, each.ip, source, self.mtu)
        self._tell_container(node, own)

    def _own_link(self, node: Node) -> Link:
        master = node.link(self.master)
        link = reach_link.ensure(node.host, self.link, master, self.mode)
        if 6 in self._versions():  # noqa: PLR2004 - the family's number
            from cni_common.kernel import ipv6  # noqa: PLC0415 - not for DEL

            ipv6.enable(self.link)
        return node.see(link)

    def _tell_container(self, node: Node, own: dict[int, list[IPAddress]]) -> None:
        """Have the container know who has the host's addresses, and the way there."""
        from cni_common.kernel import neighbours  # noqa: PLC0415 - not for DEL

        inside, end = node.container, node.end(self.inside)
        for version in self._versions():
            for address in own.get(version, ()):
                if self.mode == "l2":
                    mac = node.link(self.master).mac
                    neighbours.ensure(inside, end, address, mac)
                if self._is_apart(address):
                    inside.carry_out(
                        routes.addition(end, ipaddress.ip_network(address))
                    )

    def _versions(self) -> list[int]:
        return list(dict.fromkeys(each.version for each in self.ips))

    def _is_apart(self, address: IPAddress) -> bool:
        """Tell whether the container has no subnet with `address`."""
        return not any(address in each.network for each in self.ips)

    def remove(self, node: Node) -> None:
        """Delete the host's routes; its link goes with the last one that has any.

        What the container knows goes with its own link. Raises Code.INTERNAL.
        """
        user = node.attachment.digest()
        with reach_link.lock():
            link = links.get(node.host, self.link)
            if link is not None:
                for each in self.ips:
                    dst = ipaddress.ip_network(each.ip)
                    routes.delete(node.host, link, dst, priority=_metric(user))
            reach_link.leave(node.host, self.link, user)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what the host lacks, and what the container does not know."""
        link = links.get(node.host, self.link)
        master = node.link(self.master)
        if link is None or not reach_link.is_ours(link, master):
            text = f"check link {self.link}: it does not exist on {self.master}"
            yield Difference(text)
            return
        for fault in reach_link.faults(node.host, link):
            yield Difference(f"check link {self.link}: {fault}")
        possible = (node.host, master, self.mode)
        yield from differences_of(reach_link.require_possible, *possible)
        own = reach_link.own_addresses(node.host, master)
        metric = _metric(node.attachment.digest())
        sources = {
            r.dst: r.source
            for r in routes.of_link(node.host, link)
            if r.priority == metric
        }
        for each in self.ips:
            wanted = own.get(each.version, ())
            if wanted and sources.get(ipaddress.ip_network(each.ip)) not in wanted:
                text = f"check link {self.link}: it lacks the route {each.ip}"
                yield Difference(f"{text} from {wanted[0]}")
        # Of the others some may be new, and the container need not know them.
        first = [own[version][0] for version in self._versions() if version in own]
        yield from self._unknown(node, master, first)

    def _unknown(
        self, node: Node, master: Link, needed: list[IPAddress]
    ) -> Iterator[Difference]:
        """Yield which of the host's addresses the container cannot send to."""
        from cni_common.kernel import neighbours  # noqa: PLC0415 - not for DEL

        inside, end = node.container, node.end(self.inside)
        known = neighbours.permanent(inside, end) if self.mode == "l2" else {}
        ways = {route.dst for route in routes.of_link(inside, end)}
        what = f"check interface {self.inside}"
        for address in needed:
            if self.mode == "l2" and known.get(address) != master.mac:
                yield Difference(f"{what}: it does not know the MAC of {address}")
            if self._is_apart(address) and ipaddress.ip_network(address) not in ways:
                yield Difference(f"{what}: it lacks the route {address} to the host")

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Delete routes that are the attachment's, as their metric tells."""
        user = node.attachment.digest()
        with Gather() as errors:
            for name in _all_names(node.host):
                errors.attempt(_remove_user, node.host, name, user)

    @classmethod
    def collect(cls, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Delete the routes of attachments of `network` that are not `valid`."""
        from cni_common.kernel.netlink import Netlink  # noqa: PLC0415 - rare

        kept = attachments.identities(network, valid)
        with Netlink() as host, Gather() as errors:
            for name in reach_link.names():
                for user, told in reach_link.users(name):
                    identity = (told["container_id"], told["ifname"])
                    if told["network"] == network and identity not in kept:
                        errors.attempt(_remove_user, host, name, user)


def _metric(user: str) -> int:
    """Return the metric of a user's routes, which tells them from those of others."""
    return int(user[:8], 16) or 1


def _replace_route(
    node: Node, link: Link, address: IPAddress, source: IPAddress, mtu: int
) -> None:
    """Have one route to `address`; one with another source goes."""
    dst, metric = ipaddress.ip_network(address), _metric(node.attachment.digest())
    routes.delete(node.host, link, dst, priority=metric)
    own = routes.addition(link, dst, source=source, priority=metric, mtu=mtu)
    node.host.carry_out(own)


def _all_names(host: Netlink) -> set[str]:
    """Return the links of the host on all masters, be their users lost."""
    found = links.of_kind(host, "ipvlan")
    told = (link.name for link in found if link.alias == reach_link.ALIAS)
    return {*reach_link.names(), *told}


def _remove_user(host: Netlink, name: str, user: str) -> None:
    """Delete the routes by the link `name` that are of `user`, who leaves it."""
    with reach_link.lock():
        link = links.get(host, name)
        if link is not None:
            for route in routes.of_link(host, link):
                if route.priority == _metric(user):
                    routes.delete(host, link, route.dst, priority=route.priority)
        reach_link.leave(host, name, user)
