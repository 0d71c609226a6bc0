# SPDX-License-Identifier: Apache-2.0
"""CHECK: everything that ADD did, against the kernel as it is now.

What later plugins of a chain may change is accepted: another MTU, another MAC if
prevResult says so, further addresses and routes.
"""

from __future__ import annotations

from cni_common import layer3, masquerade, previous, veth_pair
from cni_common.kernel import forwarding, links
from cni_common.naming import Attachment
from cni_common.sides import sides
from cni_common.spec.errors import CNIError, Code
from plugins.ptp import hops, record

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.request import Request
    from cni_common.spec.result import IP, Result
    from plugins.ptp.conf import PtpConf


def attachment(request: Request, conf: PtpConf) -> None:
    """Raise code 999 for the first thing that is not as ADD left it."""
    result = previous.required(request)
    end, index = previous.container_end(request, result)
    noted = record.read(Attachment.of(request))
    documents = noted.routes if noted else ()
    ips = previous.ips_of(result, index)
    # Each of ours has one; a later plugin may have added others.
    routed = [ip for ip in ips if ip.gateway is not None]
    with sides(request.netns) as side:
        link = veth_pair.check_container_end(side.container, end)
        _up(link)
        outside = _host_end(side.host, link, result, conf)
        layer3.check_addresses(side.container, link, ips)
        hops.check(side.container, link, hops.of_container(routed))
        for route in layer3.completed(result.routes, documents):
            layer3.check_route(side.container, link, route, ips)
        _host(side.host, outside, routed)
    if conf.ip_masq:
        subnets = sorted({ip.address.network for ip in routed}, key=str)
        masquerade.check(subnets, conf.ip_masq_except or ())


def _host_end(host: Netlink, link: Link, result: Result, conf: PtpConf) -> Link:
    outside = links.by_index(host, link.peer)
    noted = {i.name: i for i in result.interfaces if not i.sandbox}
    if outside is None or outside.name not in noted:
        name = outside.name if outside else "elsewhere"
        msg = f"check interface {link.name}: its peer is {name}, not in prevResult"
        raise _wrong(msg)
    told = noted[outside.name]
    if told.mac and outside.mac != told.mac.lower():
        msg = f"check interface {outside.name}: its MAC is {outside.mac}"
        raise _wrong(f"{msg}, not {told.mac}")
    mtu = told.mtu or conf.mtu
    if mtu and outside.mtu != mtu:
        msg = f"check interface {outside.name}: its MTU is {outside.mtu}, not {mtu}"
        raise _wrong(msg)
    _up(outside)
    return outside


def _host(host: Netlink, link: Link, ips: Sequence[IP]) -> None:
    held = layer3.held(host, link)
    for address in hops.gateways(ips):
        if address not in held:
            raise _wrong(f"check interface {link.name}: it lacks {address}")
    hops.check(host, link, hops.of_host(ips))
    for version in sorted({ip.address.version for ip in ips}):
        if not forwarding.is_enabled(version):
            raise _wrong(f"check forwarding: IPv{version} is not forwarded")


def _up(link: Link) -> None:
    if not link.is_up:
        raise _wrong(f"check interface {link.name}: it is down")


def _wrong(msg: str) -> CNIError:
    return CNIError(Code.INTERNAL, msg)
