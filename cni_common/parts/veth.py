# SPDX-License-Identifier: Apache-2.0
"""A veth pair: one end is the container's interface, the other is the host's."""

from __future__ import annotations

from cni_common import naming, veth_pair
from cni_common.attachment.part import Difference, Part
from cni_common.frame.rollback import Gather
from cni_common.kernel import ipv6, links, sysctl
from cni_common.spec.values import dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, LinkName, Mac
    from cni_common.kernel.link_answer import Link


@dataclass(frozen=True, kw_only=True)
class Veth(Part):
    """`inside` in the container and `host` on the host, a port of `bridge` if any.

    The host's end is up, and says in its alias whose it is. `mtu` in bytes, 0 leaves it
    to the kernel. With `routed` the host routes to the container by this link: it has
    IPv6 if that is `routed_ipv6`. MACs that are empty are not looked at.
    """

    host: LinkName
    inside: LinkName
    host_mac: Mac = ""
    mac: Mac = ""
    mtu: Bits32 = 0
    bridge: LinkName = ""
    routed: bool = False
    routed_ipv6: bool = False

    def __str__(self) -> str:
        """Return the sentence."""
        where = f", a port of {self.bridge}" if self.bridge else ""
        more = f", mtu {self.mtu}" if self.mtu else ""
        mac = f", MAC {self.mac}" if self.mac else ""
        return (
            f"veth pair: {self.inside} in the container{mac}{more}; "
            f"{self.host} on the host{where}"
        )

    def lock(self) -> str:
        """Return the lock of the bridge."""
        return f"bridge-{self.bridge}" if self.bridge else ""

    def ensure(self, node: Node) -> None:
        """Ensure the pair; raises Code.INTERNAL for names that are taken."""
        node.undo(self._remove_host_end, node)
        links.add_veth(
            node.host,
            self.host,
            self.inside,
            node.namespace,
            host_mac=self.host_mac,
            peer_mac=self.mac,
            mtu=self.mtu,
            master=node.link(self.bridge) if self.bridge else None,
        )
        self._see(node)
        # The other end is down still, so that the kernel has done nothing with IPv6.
        sysctl.set_if_present(f"net/ipv6/conf/{self.host}/accept_ra", "0")
        if self.routed:
            # It asks for neighbours from the link-local address, which must not wait
            # for duplicate detection: nobody else can have its MAC.
            sysctl.set_if_present(f"net/ipv6/conf/{self.host}/accept_dad", "0")
        if self.routed_ipv6:
            ipv6.enable(self.host)

    def _see(self, node: Node) -> None:
        """Give the host's end its alias, and remember the links as they are now.

        The bridge is one of them: a new port may have changed its MTU.
        """
        others = [self.bridge] if self.bridge else []
        alias = naming.alias(node.attachment)
        host, *bridge = links.mark(node.host, self.host, alias, *others)
        for link in (host, *bridge):
            node.see(link)
        end = replace(
            host,
            index=host.peer,
            peer=host.index,
            name=self.inside,
            mac=self.mac,
            is_up=False,
            alias="",
            master=0,
        )
        node.see_end(end)

    def remove(self, node: Node) -> None:
        """Remove the pair, by either end that is still the attachment's."""
        with Gather() as errors:
            errors.attempt(self._remove_host_end, node)
            if node.attachment.netns and node.lives():
                errors.attempt(
                    veth_pair.delete_inside, node.attachment, node.attachment.netns
                )

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is not as wanted of either end."""
        link = links.get(node.container, self.inside)
        what = f"check interface {self.inside}"
        if link is None:
            yield Difference(f"{what}: it does not exist")
            return
        if link.kind != "veth":
            yield Difference(f"{what}: it is no veth")
            return
        node.see_end(link)
        if self.mac and link.mac != self.mac:
            yield Difference(f"{what}: its MAC is {link.mac}, not {self.mac}")
        other = node.at(link.peer)
        if other is not None and other.peer != link.index:
            other = None  # a link elsewhere has the index by chance
        if self.bridge:
            yield from self._port(node, other)
        else:
            yield from self._routed_end(node, other)

    def _routed_end(self, node: Node, other: Link | None) -> Iterator[Difference]:
        link = node.end(self.inside)
        if not link.is_up:
            yield Difference(f"check interface {self.inside}: it is down")
        if other is None or other.name != self.host:
            name = other.name if other else "elsewhere"
            cause = f"its peer is {name}, not in prevResult"
            yield Difference(f"check interface {self.inside}: {cause}")
            return
        yield from self._host_end(node, other, f"check interface {other.name}")

    def _port(self, node: Node, port: Link | None) -> Iterator[Difference]:
        what = f"check interface {self.inside}: its peer"
        if port is None or port.master != node.link(self.bridge).index:
            yield Difference(f"{what} is no port of {self.bridge}")
        elif port.name != self.host:
            yield Difference(f"{what} {port.name} is not in prevResult")
        else:
            yield from self._host_end(node, port, f"check bridge port {port.name}")

    def _host_end(self, node: Node, end: Link, what: str) -> Iterator[Difference]:
        node.see(end)
        if self.host_mac and end.mac != self.host_mac:
            yield Difference(f"{what}: its MAC is {end.mac}, not {self.host_mac}")
        if self.mtu and end.mtu != self.mtu:
            yield Difference(f"{what}: its MTU is {end.mtu}, not {self.mtu}")
        if not end.is_up:
            yield Difference(f"{what}: it is down")

    def made(self, node: Node) -> Self:
        """Return it with the MTU that the kernel gave it."""
        return replace(self, mtu=node.link(self.host).mtu)

    def lasting(self) -> Self:
        """Return it without the MAC of the container's end."""
        return replace(self, mac="")

    def loss(self, node: Node) -> str:
        """Return that the link is gone, if it is."""
        inside = links.get(node.container, self.inside)
        port = links.get(node.host, self.host)
        ends = (inside.index, inside.peer) if inside else ()
        if port is None or ends != (port.peer, port.index):
            return "the link is gone, and only a new container gets another"
        return ""

    def repair(self, node: Node) -> None:
        """Set the pair up, and put it in its place."""
        from cni_common.kernel import link_settings  # noqa: PLC0415 - only here

        port = links.existing(node.host, self.host)
        if self.host_mac and port.mac != self.host_mac:
            links.set_mac(node.host, port.name, self.host_mac)
        if self.bridge and port.master != node.link(self.bridge).index:
            link_settings.set_master(node.host, port, node.link(self.bridge))
        if self.mtu and port.mtu != self.mtu:
            link_settings.set_mtu(node.host, port.name, self.mtu)
        if not port.is_up:
            links.set_up(node.host, port.name)
        if not self.bridge and not node.end(self.inside).is_up:
            links.set_up(node.container, self.inside)

    def _remove_host_end(self, node: Node) -> None:
        veth_pair.delete_host_end(node.attachment, self.host, self.host_mac)

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Remove the pair that says it is the attachment's."""
        with Gather() as errors:
            where = node.attachment.netns
            held = errors.attempt(
                veth_pair.delete_inside, node.attachment, where, node.made
            )
            node.held = held or []
            name = naming.host_veth(node.attachment)
            errors.attempt(veth_pair.delete_host_end, node.attachment, name)
