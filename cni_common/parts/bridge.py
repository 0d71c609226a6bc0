# SPDX-License-Identifier: Apache-2.0
"""A bridge: made by the first attachment, given up by one that failed, left by DEL."""

from __future__ import annotations

from cni_common import naming, state, uplink
from cni_common.attachment import record
from cni_common.attachment.part import Difference, Part
from cni_common.kernel import addresses, bridges, ipv6, links, sysctl
from cni_common.spec.values import dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, LinkName, Mac
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink


@dataclass(frozen=True, kw_only=True)
class Bridge(Part):
    """The bridge `name`, up, with a MAC that ports do not change.

    What it is made with: `mtu` in bytes, 0 for the kernel's choice; `vlan_filtering`;
    a link-local address if it is `bare` of ports that need one. One that is there
    keeps these. `mac` is the one that CHECK expects, if any.
    """

    name: LinkName
    mtu: Bits32 = 0
    vlan_filtering: bool = False
    is_gateway: bool = False
    promiscuous: bool = False
    bare: bool = False
    mac: Mac = ""

    def __str__(self) -> str:
        """Return the sentence."""
        more = [f"mtu {self.mtu}"] if self.mtu else []
        more += ["VLAN filtering"] if self.vlan_filtering else []
        more += ["promiscuous"] if self.promiscuous else []
        return f"bridge {self.name} is up{''.join(f', {each}' for each in more)}"

    def lock(self) -> str:
        """Return the bridge's lock.

        Between finding a bridge and having a port on it nobody may give it up.
        """
        return f"bridge-{self.name}"

    def ensure(self, node: Node) -> None:
        """Ensure the bridge is up, made if there is none, and its MAC its own."""
        host = node.host
        link = None if node.lacks(self.name) else links.get(host, self.name)
        if link is None:
            link = self._make(node)
        elif link.kind != "bridge":
            link = bridges.existing(host, self.name)
        node.undo(_revert, node, link, uplink.accepted(link))
        if not uplink.keeps_routers(host, link, is_gateway=self.is_gateway):
            uplink.ignore_routers(link.name)
        if link.alias != naming.BRIDGE_ALIAS:
            _pin_mac(host, link, self.mac)
        if self.promiscuous and not link.is_promiscuous:
            links.set_promiscuous(host, link.name)
        if not link.is_up:
            links.set_up(host, link.name)
        node.see(link)

    def repair(self, node: Node) -> None:
        """Ensure it; with the MAC that it had, by which containers know it."""
        found = record.read(node.plugin, node.attachment)
        shown = found.result.interfaces if found and found.result else []
        own = (i.mac for i in shown if i.name == self.name and not i.sandbox)
        replace(self, mac=next(own, "").lower()).ensure(node)

    def common(self) -> Self:
        """Return it: it is the host's."""
        return self

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is not as wanted of the bridge."""
        link = links.get(node.host, self.name)
        what = f"check bridge {self.name}"
        if link is None:
            yield Difference(f"find link {self.name}: no such device")
            return
        if link.kind != "bridge":
            cause = f'"{self.name}" already exists but is not a bridge'
            yield Difference(f"use bridge {self.name}: {cause}")
            return
        node.see(link)
        if not link.is_up:
            yield Difference(f"{what}: it is down")
        # Without a gateway's address nobody has the bridge's MAC in a table.
        if self.is_gateway and self.mac not in {"", link.mac}:
            yield Difference(f"{what}: its MAC is {link.mac}, not {self.mac}")
        if self.promiscuous and not link.is_promiscuous:
            yield Difference(f"{what}: it is not promiscuous")

    def _make(self, node: Node) -> Link:
        """Return the bridge, made just now unless somebody else was quicker."""
        mac = self.mac or naming.random_mac()
        node.undo(_give_up, node.host, self.name, mac)
        made = bridges.add(
            node.host,
            self.name,
            mac,
            mtu=self.mtu,
            vlan_filtering=self.vlan_filtering,
            alias=naming.BRIDGE_ALIAS,
        )
        if made:
            uplink.ignore_routers(self.name)
            skip_dad(self.name)
        link = made or bridges.existing(node.host, self.name)
        if made and self.bare and ipv6.is_enabled(link.name):
            # Without a port that has a carrier the kernel gives it none.
            addresses.ensure(node.host, link, addresses.link_local(mac))
        return link


def skip_dad(name: str) -> None:
    """Set a link that was made just now to do no duplicate detection.

    The kernel asks for neighbours of what it forwards from the link-local address,
    which must not wait: nobody else can have its MAC.
    """
    sysctl.set_if_present(f"net/ipv6/conf/{name}/accept_dad", "0")


def _pin_mac(host: Netlink, link: Link, mac: str) -> None:
    """Set the bridge's MAC, so that it keeps it when ports come and go.

    Whoever made it may have left the choice to the kernel, which takes the lowest
    one of the ports, and none when the last port goes; setting one ends that. That is
    `mac` if it had one before it was made again.
    """
    has_mac = int(link.mac.replace(":", ""), 16) != 0
    present = link.mac if has_mac else naming.random_mac()
    links.set_mac(host, link.name, mac or present)


def _give_up(host: Netlink, name: str, mac: str) -> None:
    """Delete the bridge that was made with `mac`, unless somebody uses it by now."""
    with state.lock(f"bridge-{name}"):
        link = links.get(host, name)
        made_here = link is not None and link.mac == mac
        if link is not None and made_here and not links.has_ports(host, link):
            links.delete(host, name)


def _revert(node: Node, before: Link, accepted: str | None) -> None:
    """Restore the bridge as it was `before`, if nobody relies on it by now.

    Its MAC is the same, and stays the bridge's own.
    """
    with state.lock(f"bridge-{before.name}"):
        link = links.get(node.host, before.name)
        if link is None or _is_needed(node, before.name):
            return
        if link.is_promiscuous and not before.is_promiscuous:
            links.set_promiscuous(node.host, link.name, on=False)
        if link.is_up and not before.is_up:
            links.set_up(node.host, link.name, up=False)
        if accepted is not None:
            uplink.accept_routers(link.name, accepted)


def _is_needed(node: Node, name: str) -> bool:
    """Tell whether another attachment has a port on the bridge `name`."""
    others = record.parts_of_others(node.plugin, node.attachment, Bridge)
    return any(other.name == name for other in others)
