# SPDX-License-Identifier: Apache-2.0
"""The addresses of a bridge as the containers' gateway, on it or on its VLAN interface.

DEL leaves them: they are the network's.
"""

from __future__ import annotations

from ipaddress import ip_interface

from cni_common import layer3, naming, overlaps, state, uplink
from cni_common.attachment import record
from cni_common.attachment.part import Difference, Part, differences_of
from cni_common.kernel import addresses, ipv6, links, route_get, routes
from cni_common.kernel.routes import SCOPE_LINK
from cni_common.parts.bridge import skip_dad
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Route
from cni_common.spec.values import dataclass, field, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, LinkName
    from cni_common.kernel.link_answer import Link
    from cni_common.spec.fields import IPInterface, IPNetwork
    from cni_common.spec.result import IP


@dataclass
class _Changes:
    """What this call gave to a link, and what it took from it.

    `enabled_ipv6` tells that the link had IPv6 off before.
    """

    added: list[IPInterface] = field(default_factory=list)
    deleted: list[IPInterface] = field(default_factory=list)
    enabled_ipv6: bool = False
    routes: list[tuple[IPNetwork, IPInterface]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Gateway(Part):
    """`bridge`, or its interface in `vlan`, has the gateways' `addresses` of `ips`.

    With `forced`, instead of others that are in conflict; with `beside`, beside those
    of other IPv4 subnets. `mtu` is a VLAN interface's.
    A record of a former release tells of addresses, but not of the link: `unplaced`.
    """

    bridge: LinkName
    addresses: tuple[IPInterface, ...]
    ips: tuple[IP, ...] = ()
    vlan: Bits32 = 0
    mtu: Bits32 = 0
    forced: bool = False
    beside: bool = False
    unplaced: bool = False

    follows_lease = True

    @property
    def link(self) -> str:
        """The link that is the gateway."""
        return f"{self.bridge}.{self.vlan}" if self.vlan else self.bridge

    def __str__(self) -> str:
        """Return the sentence."""
        more = ", beside those of other subnets" if self.beside else ""
        more += ", whatever else it had" if self.forced else ""
        held = ", ".join(map(str, self.addresses))
        return f"{self.link} on the host is the gateway {held}{more}"

    def ensure(self, node: Node) -> None:
        """Ensure the link has the addresses, and the subnets outside of them."""
        changes = _Changes()
        with state.lock(f"bridge-{self.bridge}"):
            node.undo(self._revert, node, changes)
            if self.vlan:
                self._ensure_vlan_interface(node)
            link = node.link(self.link)
            self._ensure_addresses(node, link, changes)
            self._ensure_routes(node, link, changes)

    def common(self) -> Self | None:
        """Return it without the container's addresses, if those need no route."""
        return None if self._outside() else replace(self, ips=())

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the addresses and routes that the link lacks."""
        if self.unplaced:
            return
        link = links.get(node.host, self.link)
        if link is None:
            yield Difference(f"find link {self.link}: no such device")
            return
        held = layer3.held(node.host, link)
        for address in self.addresses:
            if address not in held:
                yield Difference(f"check gateway {link.name}: it lacks {address}")
        if held.issuperset(self.addresses) and link.is_up:
            for subnet in layer3.missing_subnets(node.host, link, self.addresses):
                yield Difference(f"check gateway {link.name}: it lacks route {subnet}")
        for ip in self._outside():
            dst = ip_interface(ip.address.network)
            route = Route(dst=dst, scope=SCOPE_LINK)
            yield from differences_of(layer3.check_route, node.host, link, route, ())

    def repair(self, node: Node) -> None:
        """Ensure addresses, and routes to their subnets; raises Code.INTERNAL."""
        self.ensure(node)
        layer3.ensure_subnets(node.host, node.link(self.link), self.addresses)

    def _outside(self) -> list[IP]:
        """Return those of `ips` whose gateway brings no route to their subnet."""
        return [ip for ip in self.ips if layer3.is_outside(ip)]

    def _ensure_vlan_interface(self, node: Node) -> None:
        from cni_common.kernel import vlan_interface  # noqa: PLC0415 - for one key

        mac = naming.random_mac()
        node.undo(self._give_up_vlan_interface, node, mac)
        made = vlan_interface.ensure(
            node.host,
            self.link,
            node.link(self.bridge),
            vid=self.vlan,
            macs=(naming.random_mac(), mac),
            port=naming.random_veth(),
            alias=naming.BRIDGE_ALIAS,
            mtu=self.mtu,
        )
        uplink.ignore_routers(self.link)
        if made:
            skip_dad(self.link)
            links.set_up(node.host, self.link)
            # Its other end is a port, which may have changed the MTU of the bridge.
            node.see(links.existing(node.host, self.bridge))

    def _ensure_addresses(self, node: Node, link: Link, changes: _Changes) -> None:
        """Ensure the addresses; any that is in conflict goes, if that is `forced`.

        Else Code.INTERNAL is raised and nothing added; and so it is, whatever is
        forced, where another link has such a subnet.
        """
        host = node.host
        present = layer3.held(host, link)
        missing = [each for each in self.addresses if each not in present]
        if missing:
            overlaps.refuse_subnets(host, link, self.ips)
            overlaps.refuse_gateways(host, self.ips, own=link.name)
        for other in present:
            if other in self.addresses:
                continue
            if not any(self._conflict(other, new) for new in missing):
                continue
            if not self.forced:
                raise _different(link, missing[0], other)
            changes.deleted.append(other)
            addresses.delete(host, link, other)
        if any(address.version == 6 for address in missing):  # noqa: PLR2004 - the family's number
            changes.enabled_ipv6 = ipv6.enable(link.name)
        # All of them: with an IPv4 address the kernel deletes its secondary ones.
        for address in self.addresses if missing else ():
            if addresses.ensure(host, link, address):
                changes.added.append(address)

    def _conflict(self, other: IPInterface, new: IPInterface) -> bool:
        if other.version != new.version or other.ip.is_link_local:
            return False
        alone = other.version == 4 and not self.beside  # noqa: PLR2004 - the family's number
        return alone or other.network.overlaps(new.network)

    def _ensure_routes(self, node: Node, link: Link, changes: _Changes) -> None:
        """Ensure subnets on the link where the gateway's address is in none.

        Raises Code.INTERNAL, also for a subnet that is another link's.
        """
        for ip in self._outside():
            found = route_get.connected(ip.address.ip)
            if found is not None and found.link == link.name:
                continue
            overlaps.refuse_subnets(node.host, link, [ip])
            subnet = ip.address.network
            node.host.carry_out(routes.addition(link, subnet, exclusive=True))
            held = next(each for each in self.addresses if each.ip == ip.gateway)
            changes.routes.append((subnet, held))

    def _revert(self, node: Node, changes: _Changes) -> None:
        """Restore what the link held before, unless others need what was added."""
        with state.lock(f"bridge-{self.bridge}"):
            in_use = self._needed_by_others(node)
            link = links.get(node.host, self.link)
            if link is None:
                return
            for subnet, gateway in changes.routes:
                if gateway not in in_use:
                    routes.delete(node.host, link, subnet)
            if any(address in in_use for address in changes.added):
                return
            for address in changes.added:
                addresses.delete(node.host, link, address)
            for address in changes.deleted:
                addresses.ensure(node.host, link, address)
            if changes.enabled_ipv6:
                ipv6.disable(link.name)

    def _give_up_vlan_interface(self, node: Node, mac: str) -> None:
        """Delete the interface that was made with `mac`, if nobody relies on it."""
        with state.lock(f"bridge-{self.bridge}"):
            link = links.get(node.host, self.link)
            if link is None or link.mac != mac:
                return
            if not self._needed_by_others(node) & layer3.held(node.host, link):
                links.delete(node.host, link.name)

    def _needed_by_others(self, node: Node) -> set[IPInterface]:
        """Return the gateways on this bridge that other attachments rely on."""
        others = record.parts_of_others(node.plugin, node.attachment, Gateway)
        here = (other.addresses for other in others if other.bridge == self.bridge)
        return {address for addresses in here for address in addresses}


def _different(link: Link, new: IPInterface, other: IPInterface) -> CNIError:
    msg = f'set address {new} of bridge {link.name}: "{link.name}"'
    cause = f"already has an IP address different from {new}"
    remedy = f"forceAddress, or: ip address delete {other} dev {link.name}"
    if not other.network.overlaps(new.network):
        remedy = f"gatewayPerSubnet for both, {remedy}"
    details = f"it has {other}; name that as gateway, set {remedy}"
    return CNIError(Code.INTERNAL, f"{msg} {cause}", details)
