# SPDX-License-Identifier: Apache-2.0
"""ptp: the container gets a veth whose other end is the host itself, its gateway."""

from __future__ import annotations

from cni_common import (
    attachments,
    delegate,
    layer3,
    masquerade,
    overlaps,
    previous,
    requested_mac,
    veth_pair,
)
from cni_common.kernel import forwarding, links, nft
from cni_common.naming import Attachment
from cni_common.pair_record import PairRecord
from cni_common.rollback import Gather, Rollback
from cni_common.sides import sides
from cni_common.skel import Plugin
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Interface, Result
from cni_common.spec.values import replace
from plugins.ptp import checks, ends, hops, record, release
from plugins.ptp.conf import PtpConf
from plugins.ptp.detach import detach

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.sides import Sides
    from cni_common.spec.request import Request
    from cni_common.veth_pair import Pair

CONTAINER = 1  # index of the container's end in the result


def add(request: Request, conf: PtpConf) -> Result:
    """The container has CNI_IFNAME with its addresses, and reaches all by the host."""
    conf.validate_for(request)
    mac = requested_mac.of_request(request, conf)
    if conf.ip_masq:
        nft.check_openable()
    owner = Attachment.of(request)
    with sides(request.netns) as side, Rollback() as undo:
        noted = record.read(owner)
        veth_pair.delete_remains(side, request, noted, lambda: delete(request, conf))
        pair = veth_pair.plan(side.host, owner, mac)
        undo(record.delete, owner)
        noted = _record(side, conf, pair)
        record.write(owner, noted)
        # Leased before the link is made, for it is given back after that is gone.
        result = _layer3(conf, delegate.lease(conf.ipam.type, request, undo))
        request.log.step("ipam")
        overlaps.refuse_gateways(side.host, result.ips)
        overlaps.refuse_own(result.ips)
        noted = _with_layer3(noted, conf, result)
        record.write(owner, noted)
        undo(veth_pair.delete_host_end, owner, pair.host, pair.host_mac)
        has_ipv6 = any(ip.address.version == 6 for ip in result.ips)  # noqa: PLR2004 - the family's number
        ends.add(side, pair, conf, has_ipv6=has_ipv6)
        request.log.step("link")
        ends.configure(side, pair, result)
        request.log.step("addresses")
        if noted.masquerade:
            undo(masquerade.release, owner, noted.masquerade)
            exempt = conf.ip_masq_except or ()
            masquerade.ensure(owner, noted.masquerade, exempt)
        request.log.step("masquerade")
        interfaces = _interfaces(side, request, pair)
        record.write(owner, replace(noted, complete=True))
        with layer3.forwarded(result.ips):
            result = result.model_copy(update={"interfaces": interfaces})
            return request.delivered(result)


def delete(request: Request, conf: PtpConf) -> None:
    """Nothing of the attachment is left: rules, link, lease."""
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


def check(request: Request, conf: PtpConf) -> None:
    """Raise unless all that ADD did is still there, as prevResult says."""
    conf.validate_for(request)
    delegate.check(conf.ipam.type, request)
    checks.attachment(request, conf)


def gc(request: Request, conf: PtpConf) -> None:
    """What belongs to this network and to no valid attachment is gone."""
    valid = request.valid_attachments
    with Gather() as each:
        if valid is not None:
            for stale in attachments.stale(record.PLUGIN, request.network, valid, each):
                each(release.stale, stale)
            each(masquerade.collect, request.network, valid)
        if conf.ipam.type:
            each(delegate.gc, conf.ipam.type, request)


def status(request: Request, conf: PtpConf) -> None:
    """Raise unless ADD could do its work: rules, forwarding, addresses."""
    conf.validate_for(request)
    if conf.ip_masq:
        nft.check_writable()
    if not forwarding.can_enable(4):
        msg = "enable forwarding: net/ipv4/ip_forward cannot be written"
        raise CNIError(Code.NOT_AVAILABLE, msg)
    delegate.status(conf.ipam.type, request)


def _record(side: Sides, conf: PtpConf, pair: Pair) -> PairRecord:
    return PairRecord(
        netns=side.namespace.path,
        netns_identity=side.namespace.identity,
        ipam=conf.ipam.type,
        host_veth=pair.host,
        host_mac=pair.host_mac,
    )


def _layer3(conf: PtpConf, leased: Result) -> Result:
    """Return the result as far as it is not about links."""
    ips = [hops.with_gateway(ip, CONTAINER) for ip in leased.ips]
    dns = conf.dns if conf.dns.is_given() else leased.dns
    return Result(ips=ips, routes=leased.routes, dns=dns)


def _with_layer3(noted: PairRecord, conf: PtpConf, result: Result) -> PairRecord:
    subnets = {ip.address.network for ip in result.ips} if conf.ip_masq else set()
    return replace(
        noted,
        masquerade=tuple(sorted(subnets, key=str)),
        routes=tuple(route.document() for route in result.routes),
    )


def _interfaces(side: Sides, request: Request, pair: Pair) -> list[Interface]:
    """Return the host's and the container's end."""
    host = links.existing(side.host, pair.host)
    end = links.existing(side.container, pair.container)
    return [
        Interface(name=host.name, mac=host.mac, mtu=host.mtu),
        Interface(name=end.name, mac=end.mac, mtu=end.mtu, sandbox=request.netns),
    ]


PLUGIN = Plugin(
    "ptp",
    conf=PtpConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
)
