# SPDX-License-Identifier: Apache-2.0
"""The bridge itself: made by the first attachment, given up by one that failed."""

from __future__ import annotations

from cni_common import layer3, naming, state
from cni_common.kernel import addresses, bridges, ipv6, links, sysctl
from plugins.bridge import gateway, record, uplink, vlans

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.naming import Attachment
    from cni_common.rollback import Rollback
    from cni_common.spec.result import IP
    from plugins.bridge.conf import BridgeConf


def locked(name: str) -> AbstractContextManager[None]:
    """Hold the lock of the bridge `name`.

    Between finding a bridge and having a port on it nobody may give it up.
    """
    return state.lock(f"bridge-{name}")


def named(netlink: Netlink, conf: BridgeConf) -> BridgeConf:
    """Return `conf` with the own name of a bridge that it tells by another one.

    By its own it is locked, recorded and found in /proc/sys. Raises code 7 for a name
    that no link has, and that a bridge cannot be given.
    """
    link = links.get(netlink, conf.bridge)
    return conf.called(link.name if link else conf.bridge)


def ensure(
    netlink: Netlink, conf: BridgeConf, owner: Attachment, undo: Rollback
) -> Link:
    """Have the bridge up, made if there is none, and its MAC its own.

    One that exists keeps its MTU, and its MAC whatever ports come and go. Raises
    code 999.
    """
    link = links.get(netlink, conf.bridge)
    if link is None:
        link = _make(netlink, conf, undo)
    elif link.kind != "bridge":
        link = bridges.existing(netlink, conf.bridge)
    undo(_revert, netlink, link, uplink.accepted(link), owner)
    if not uplink.keeps_routers(netlink, link, is_gateway=conf.gateway):
        uplink.ignore_routers(link.name)
    if link.alias != naming.BRIDGE_ALIAS:
        _pin_mac(netlink, link)
    if conf.promisc_mode and not link.is_promiscuous:
        links.set_promiscuous(netlink, link.name)
    if not link.is_up:
        links.set_up(netlink, link.name)
    return link


def be_gateway(
    netlink: Netlink,
    conf: BridgeConf,
    ips: Sequence[IP],
    owner: Attachment,
    undo: Rollback,
) -> None:
    """Have the gateways of `ips` on the bridge, or on its foot in the VLAN."""
    changes = gateway.Changes()
    with locked(conf.bridge):
        undo(_revert_addresses, netlink, conf, owner, changes)
        if conf.vlan:
            mac = naming.random_mac()
            undo(_give_up_foot, netlink, conf, owner, mac)
            made = vlans.ensure_gateway(netlink, conf, mac)
            uplink.ignore_routers(vlans.gateway_name(conf))
            if made:
                _skip_dad(vlans.gateway_name(conf))
                links.set_up(netlink, vlans.gateway_name(conf))
        link = links.existing(netlink, vlans.gateway_name(conf))
        force = conf.force_address
        gateway.ensure_addresses(netlink, link, ips, changes, force=force)
        gateway.ensure_routes(netlink, link, ips, changes)


def _make(netlink: Netlink, conf: BridgeConf, undo: Rollback) -> Link:
    """Return the bridge, made just now unless somebody else was quicker."""
    mac = naming.random_mac()
    undo(_give_up, netlink, conf.bridge, mac)
    made = bridges.add(
        netlink,
        conf.bridge,
        mac,
        mtu=conf.mtu,
        vlan_filtering=conf.vlan_filtering,
        alias=naming.BRIDGE_ALIAS,
    )
    if made:
        uplink.ignore_routers(conf.bridge)
        _skip_dad(conf.bridge)
    link = bridges.existing(netlink, conf.bridge)
    if made and conf.disable_container_interface and ipv6.is_enabled(link.name):
        # Without a port that has a carrier the kernel gives it none.
        addresses.ensure(netlink, link, addresses.link_local(mac))
    return link


def _pin_mac(netlink: Netlink, link: Link) -> None:
    """Have the bridge keep its MAC when ports come and go.

    Whoever made it may have left the choice to the kernel, which takes the lowest
    one of the ports, and none when the last port goes; setting one ends that.
    """
    has_mac = int(link.mac.replace(":", ""), 16) != 0
    links.set_mac(netlink, link.name, link.mac if has_mac else naming.random_mac())


def _skip_dad(name: str) -> None:
    """Have no duplicate detection on a link that was made just now.

    The kernel asks for neighbours of what it forwards from the link-local address,
    which must not wait: nobody else can have its MAC.
    """
    sysctl.set_if_present(f"net/ipv6/conf/{name}/accept_dad", "0")


def _give_up(netlink: Netlink, name: str, mac: str) -> None:
    """Delete the bridge that was made with `mac`, unless somebody uses it by now."""
    with locked(name):
        link = links.get(netlink, name)
        made_here = link is not None and link.mac == mac
        if link is not None and made_here and not links.has_ports(netlink, link):
            links.delete(netlink, name)


def _revert(
    netlink: Netlink, before: Link, accepted: str | None, owner: Attachment
) -> None:
    """Have the bridge as `before`, if nobody relies on it by now.

    Its MAC is the same, and stays the bridge's own.
    """
    with locked(before.name):
        link = links.get(netlink, before.name)
        if link is None or record.others_on(before.name, owner):
            return
        if link.is_promiscuous and not before.is_promiscuous:
            links.set_promiscuous(netlink, link.name, on=False)
        if link.is_up and not before.is_up:
            links.set_up(netlink, link.name, up=False)
        if accepted is not None:
            uplink.accept_routers(link.name, accepted)


def _revert_addresses(
    netlink: Netlink, conf: BridgeConf, owner: Attachment, changes: gateway.Changes
) -> None:
    with locked(conf.bridge):
        others = record.others_on(conf.bridge, owner)
        in_use = {address for other in others for address in other.gateways}
        gateway.revert(netlink, vlans.gateway_name(conf), changes, in_use)


def _give_up_foot(
    netlink: Netlink, conf: BridgeConf, owner: Attachment, mac: str
) -> None:
    """Delete the foot in the VLAN that was made with `mac`, if nobody relies on it."""
    with locked(conf.bridge):
        link = links.get(netlink, vlans.gateway_name(conf))
        if link is None or link.mac != mac:
            return
        held = layer3.held(netlink, link)
        others = record.others_on(conf.bridge, owner)
        if not any(address in held for other in others for address in other.gateways):
            links.delete(netlink, link.name)
