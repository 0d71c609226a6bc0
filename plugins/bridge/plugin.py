# SPDX-License-Identifier: Apache-2.0
"""bridge: the container gets a veth whose other end is a port of a bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common import attachments, delegate, masquerade, spoofcheck
from cni_common.kernel import forwarding, links, nft
from cni_common.naming import Attachment
from cni_common.rollback import Gather, Rollback
from cni_common.skel import Plugin
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Interface, Result
from plugins.bridge import checks, gateway, network, record, release, veth, vlans
from plugins.bridge.conf import BridgeConf, wanted_mac

if TYPE_CHECKING:
    from cni_common.kernel.links import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.request import Request
    from cni_common.spec.result import IP
    from plugins.bridge.network import Bridge
    from plugins.bridge.veth import Pair, Sides

CONTAINER = 2  # index of the container's end in the result


def add(request: Request, conf: BridgeConf) -> Result:
    """The container has CNI_IFNAME with its addresses and routes, on the bridge."""
    conf.validate_for(request)
    mac = wanted_mac(request, conf)
    owner = Attachment.of(request)
    with Rollback() as undo, veth.sides(request.netns) as side:
        pair = veth.plan(side, request, mac)
        undo(record.delete, owner)
        record.write(owner, side, conf, pair, Result())
        bridge = _plug_in(side, conf, pair, undo)
        request.log.step("link")
        leased = _lease(request, conf, undo)
        request.log.step("ipam")
        result = _layer3(conf, leased)
        noted = record.write(owner, side, conf, pair, result)
        if not conf.disable_container_interface:
            veth.configure(side, request.ifname, conf, result.ips, result.routes)
        foot = _be_gateway(side.host, bridge, conf, result.ips, undo)
        request.log.step("addresses")
        if noted.masquerade:
            undo(masquerade.release, owner, noted.masquerade)
            masquerade.ensure(owner, noted.masquerade)
        request.log.step("masquerade")
        if not conf.disable_container_interface:
            links.wait_forwarding(pair.host, side.host)
        if conf.gateway:
            for version in sorted({ip.address.version for ip in result.ips}):
                forwarding.enable(version)
        request.log.step("forwarding")
        interfaces = _interfaces(side, request, bridge, pair)
        if foot is not None:
            interfaces.append(_interface(foot))
        return result.model_copy(update={"interfaces": interfaces})


def delete(request: Request, conf: BridgeConf) -> None:
    """Nothing of the attachment is left: rules, link, lease; the bridge stays."""
    owner = Attachment.of(request)
    with Gather() as each:
        each(release.rules_and_link, owner, request)
        if conf.ipam.type:
            each(delegate.delete, conf.ipam.type, request)
        if not each.errors:
            record.delete(owner)


def check(request: Request, conf: BridgeConf) -> None:
    """Raise unless all that ADD did is still there, as prevResult says."""
    conf.validate_for(request)
    if conf.ipam.type:
        delegate.check(conf.ipam.type, request)
    checks.attachment(request, conf)


def gc(request: Request, conf: BridgeConf) -> None:
    """What belongs to this network and to no valid attachment is gone."""
    valid = request.valid_attachments
    with Gather() as each:
        if valid is not None:
            for stale in attachments.stale(record.PLUGIN, request.network, valid):
                each(release.stale, stale)
            each(masquerade.collect, request.network, valid)
        if conf.ipam.type:
            each(delegate.gc, conf.ipam.type, request)


def status(request: Request, conf: BridgeConf) -> None:
    """Raise unless ADD could do its work: rules, forwarding, addresses."""
    conf.validate_for(request)
    try:
        if conf.ip_masq or conf.macspoofchk:
            nft.check_writable()
    except CNIError as error:
        raise CNIError(Code.NOT_AVAILABLE, error.msg, error.details) from error
    if conf.gateway and not forwarding.can_enable(4):
        msg = "enable forwarding: net/ipv4/ip_forward cannot be written"
        raise CNIError(Code.NOT_AVAILABLE, msg)
    if conf.ipam.type:
        delegate.status(conf.ipam.type, request)


def _plug_in(side: Sides, conf: BridgeConf, pair: Pair, undo: Rollback) -> Bridge:
    """Have the pair, and its host end as a port of the bridge."""
    with network.locked(conf.bridge):
        bridge = network.ensure(side.host, conf)
        undo(network.give_up, side.host, bridge)
        undo(links.delete, side.host, pair.host)
        veth.add(side, bridge.link, pair, conf)
    if conf.vlan_filtering:
        port = links.existing(side.host, pair.host)
        vlans.set_port(side.host, bridge.link, port, conf)
    if conf.macspoofchk:
        undo(spoofcheck.release, pair.host)
        spoofcheck.ensure(pair.host, pair.mac)
    return bridge


def _lease(request: Request, conf: BridgeConf, undo: Rollback) -> Result:
    """Have the IPAM plugin's addresses, or none on a pure layer 2 network."""
    if not conf.ipam.type:
        return Result()
    leased = delegate.add(conf.ipam.type, request)
    undo(delegate.delete, conf.ipam.type, request)
    if not leased.ips:
        msg = "IPAM plugin returned missing IP config"
        raise CNIError(Code.INTERNAL, msg, f"IPAM plugin is {conf.ipam.type}")
    return leased


def _layer3(conf: BridgeConf, leased: Result) -> Result:
    """Return the result as far as it is not about links."""
    ips = [
        gateway.with_gateway(ip, is_gateway=conf.gateway, interface=CONTAINER)
        for ip in leased.ips
    ]
    routes = list(leased.routes)
    if conf.is_default_gateway:
        routes += gateway.default_routes(ips, routes)
    dns = conf.dns if conf.dns.is_given() else leased.dns
    return Result(ips=ips, routes=routes, dns=dns)


def _be_gateway(
    host: Netlink, bridge: Bridge, conf: BridgeConf, ips: list[IP], undo: Rollback
) -> Link | None:
    """Have the gateway's addresses on the bridge, or on its foot in the VLAN."""
    if not conf.gateway or not ips:
        return None
    with network.locked(conf.bridge):
        foot = None
        if conf.vlan:
            if vlans.ensure_gateway(host, bridge.link, conf):
                undo(links.delete, host, vlans.gateway_name(conf))
            foot = links.existing(host, vlans.gateway_name(conf))
        wanted = gateway.addresses_of(ips)
        added = gateway.ensure_addresses(
            host, foot or bridge.link, wanted, force=conf.force_address
        )
        if foot is None:
            bridge.added = added
    return foot


def _interfaces(
    side: Sides, request: Request, bridge: Bridge, pair: Pair
) -> list[Interface]:
    """Return bridge, host end and container's end, in the reference's order."""
    end = links.existing(side.container, request.ifname)
    return [
        _interface(bridge.link),
        _interface(links.existing(side.host, pair.host)),
        _interface(end, request.netns),
    ]


def _interface(link: Link, sandbox: str = "") -> Interface:
    return Interface(name=link.name, mac=link.mac, mtu=link.mtu, sandbox=sandbox)


PLUGIN = Plugin(
    "bridge",
    conf=BridgeConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
)
