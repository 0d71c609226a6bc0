# SPDX-License-Identifier: Apache-2.0
"""bridge: the container gets a veth whose other end is a port of a bridge."""

from __future__ import annotations

from cni_common import (
    attachments,
    delegate,
    duplicates,
    layer3,
    masquerade,
    overlaps,
    previous,
    requested_mac,
    spoofcheck,
    veth_pair,
)
from cni_common.kernel import forwarding, links, nft
from cni_common.kernel.netlink import Netlink
from cni_common.naming import Attachment
from cni_common.rollback import Gather, Rollback
from cni_common.sides import sides
from cni_common.skel import Plugin
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Interface, Result
from cni_common.spec.values import replace
from plugins.bridge import (
    checks,
    gateway,
    network,
    record,
    release,
    veth,
    vlans,
)
from plugins.bridge.conf import BridgeConf
from plugins.bridge.detach import detach
from plugins.bridge.record import Record

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.sides import Sides
    from cni_common.spec.request import Request
    from cni_common.veth_pair import Pair

CONTAINER = 2  # index of the container's end in the result


def add(request: Request, conf: BridgeConf) -> Result:
    """The container has CNI_IFNAME with its addresses and routes, on the bridge."""
    conf.validate_for(request)
    mac = requested_mac.of_request(request, conf)
    if conf.ip_masq or conf.macspoofchk:
        nft.check_openable()
    owner = Attachment.of(request)
    with sides(request.netns) as side, Rollback() as undo:
        conf = network.named(side.host, conf)
        noted = record.read(owner)
        veth_pair.delete_remains(side, request, noted, lambda: delete(request, conf))
        pair = veth_pair.plan(side.host, owner, mac)
        undo(record.delete, owner)
        noted = _record(side, conf, pair)
        record.write(owner, noted)
        _plug_in(side, conf, pair, owner, undo)
        if noted.duplicates:
            undo(duplicates.release, owner)
            duplicates.ensure(pair.mac, owner)
        request.log.step("link")
        ipam = conf.ipam.type
        leased = delegate.lease(ipam, request, undo) if ipam else Result()
        request.log.step("ipam")
        result = _layer3(conf, leased)
        noted = _with_layer3(noted, conf, result)
        record.write(owner, noted)
        overlaps.refuse_own(result.ips, link=vlans.gateway_name(conf))
        if not conf.disable_container_interface:
            veth.configure(side, pair, conf, result)
        if noted.gateways:
            network.be_gateway(side.host, conf, result.ips, owner, undo)
        request.log.step("addresses")
        if noted.masquerade:
            undo(masquerade.release, owner, noted.masquerade)
            exempt = conf.ip_masq_except or ()
            masquerade.ensure(owner, noted.masquerade, exempt)
        request.log.step("masquerade")
        if not conf.disable_container_interface:
            veth.announce(side, pair)
        interfaces = _interfaces(side, request, conf, noted)
        record.write(owner, replace(noted, complete=True))
        with layer3.forwarded(result.ips if noted.gateways else ()):
            request.log.step("gateway")
            result = result.model_copy(update={"interfaces": interfaces})
            return request.delivered(result)


def delete(request: Request, conf: BridgeConf) -> None:
    """Nothing of the attachment is left: rules, link, lease; the bridge stays."""
    if detach(request):
        return
    owner = Attachment.of(request)
    with Gather() as each:
        each(release.unrecorded, owner, request.netns, previous.interfaces(request))
        if conf.ipam.type:
            each(delegate.delete, conf.ipam.type, request)
        # A killed ADD may not have finished writing it, or it is damaged.
        if not each.errors:
            each(record.delete, owner)


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
            for stale in attachments.stale(record.PLUGIN, request.network, valid, each):
                each(release.stale, stale)
            each(spoofcheck.collect, request.network, valid)
            each(duplicates.collect, request.network, valid)
            each(masquerade.collect, request.network, valid)
        if conf.ipam.type:
            each(delegate.gc, conf.ipam.type, request)


def status(request: Request, conf: BridgeConf) -> None:
    """Raise unless ADD could do its work: rules, forwarding, addresses."""
    conf.validate_for(request)
    with Netlink() as host:
        conf = network.named(host, conf)
    if conf.ip_masq or conf.macspoofchk:
        nft.check_writable()
    if conf.gateway and not forwarding.can_enable(4):
        msg = "enable forwarding: net/ipv4/ip_forward cannot be written"
        raise CNIError(Code.NOT_AVAILABLE, msg)
    if conf.ipam.type:
        delegate.status(conf.ipam.type, request)


def _record(side: Sides, conf: BridgeConf, pair: Pair) -> Record:
    return Record(
        netns=side.namespace.path,
        netns_identity=side.namespace.identity,
        bridge=conf.bridge,
        ipam=conf.ipam.type,
        host_veth=pair.host,
        host_mac=pair.host_mac,
        spoofcheck=conf.macspoofchk,
        duplicates=conf.promisc_mode and duplicates.are_likely(),
    )


def _plug_in(
    side: Sides, conf: BridgeConf, pair: Pair, owner: Attachment, undo: Rollback
) -> None:
    """Have the pair, and its host end as a port of the bridge."""
    with network.locked(conf.bridge):
        bridge = network.ensure(side.host, conf, owner, undo)
        undo(veth_pair.delete_host_end, owner, pair.host, pair.host_mac)
        veth.add(side, bridge, pair, conf)
    vlans.set_port(side.host, bridge, pair.host, conf)
    if conf.macspoofchk:
        undo(spoofcheck.release, pair.host)
        spoofcheck.ensure(pair.host, pair.mac, owner)


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


def _with_layer3(noted: Record, conf: BridgeConf, result: Result) -> Record:
    subnets = {ip.address.network for ip in result.ips} if conf.ip_masq else set()
    return replace(
        noted,
        masquerade=tuple(sorted(subnets, key=str)),
        gateways=tuple(gateway.addresses_of(result.ips)) if conf.gateway else (),
        routes=tuple(route.document() for route in result.routes),
    )


def _interfaces(
    side: Sides, request: Request, conf: BridgeConf, noted: Record
) -> list[Interface]:
    """Return bridge, host end, container's end and the foot in the VLAN, if any.

    Read at the end, for a port may have changed the bridge's MAC and MTU.
    """
    names = [noted.bridge, noted.host_veth]
    found = [_interface(links.existing(side.host, name)) for name in names]
    end = links.existing(side.container, request.ifname)
    found.append(_interface(end, request.netns))
    if conf.vlan and noted.gateways:
        found.append(_interface(links.existing(side.host, vlans.gateway_name(conf))))
    return found


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
