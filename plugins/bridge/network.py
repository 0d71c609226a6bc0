# SPDX-License-Identifier: Apache-2.0
"""The bridge itself: made by the first attachment, given up by one that failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cni_common import naming, state
from cni_common.kernel import addresses, bridges, links, sysctl
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cni_common.kernel.links import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.fields import IPInterface
    from plugins.bridge.conf import BridgeConf

ALIAS = "cni bridge"


@dataclass
class Bridge:
    """The bridge as found or made by this call, and what this call changed on it."""

    link: Link
    was_made: bool
    added: list[IPInterface] = field(default_factory=list)


def locked(name: str) -> AbstractContextManager[None]:
    """Hold the lock of the bridge `name`.

    Between finding a bridge and having a port on it nobody may give it up.
    """
    return state.lock(f"bridge-{name}")


def ensure(netlink: Netlink, conf: BridgeConf) -> Bridge:
    """Have the bridge up, with the MTU and address it was made with, forwarding no RA.

    An existing bridge keeps its MTU. Raises code 999.
    """
    link = links.get(netlink, conf.bridge)
    was_made = link is None and bridges.add(
        netlink,
        conf.bridge,
        naming.random_mac(),
        mtu=conf.mtu,
        vlan_filtering=conf.vlan_filtering,
        alias=ALIAS,
    )
    if link is None or link.kind != "bridge":
        link = bridges.existing(netlink, conf.bridge)
    bridge = Bridge(link, was_made)
    try:
        _configure(netlink, conf, bridge)
    except CNIError:
        if was_made:
            links.delete(netlink, conf.bridge)
        raise
    return bridge


def give_up(netlink: Netlink, bridge: Bridge) -> None:
    """Revert what this call changed on the bridge, unless somebody uses it by now."""
    with locked(bridge.link.name):
        link = links.get(netlink, bridge.link.name)
        if link is None or links.has_ports(netlink, link):
            return
        if bridge.was_made:
            links.delete(netlink, link.name)
            return
        for address in bridge.added:
            addresses.delete(netlink, link, address)


def _configure(netlink: Netlink, conf: BridgeConf, bridge: Bridge) -> None:
    link = bridge.link
    if conf.promisc_mode and not link.is_promiscuous:
        links.set_promiscuous(netlink, link.name)
    if not link.is_up:
        links.set_up(netlink, link.name)
    sysctl.set_if_present(f"net/ipv6/conf/{link.name}/accept_ra", "0")
    if not bridge.was_made and conf.gateway and link.alias != ALIAS:
        _pin_mac(netlink, link)


def _pin_mac(netlink: Netlink, link: Link) -> None:
    """Have the bridge keep its address when ports come and go.

    Whoever made the bridge may have left the choice to the kernel, which takes the
    lowest address of the ports; setting an address once ends that.
    """
    try:
        links.set_mac(netlink, link.name, link.mac)
    except CNIError:
        # A bridge without a port may refuse its own address; then it has no
        # container either whose neighbour table could be wrong.
        return
