# SPDX-License-Identifier: Apache-2.0
"""ptp: the container gets a veth whose other end is the host itself, its gateway."""

from __future__ import annotations

from cni_common import naming, peer_routes, requested_mac, veth_pair
from cni_common.attachment import engine
from cni_common.attachment.scheme import Plan, Scheme
from cni_common.kernel import forwarding, nft
from cni_common.parts.forwarded import Forwarded
from cni_common.parts.host_routed import HostRouted
from cni_common.parts.masqueraded import Masqueraded
from cni_common.parts.not_the_hosts import NotTheHosts
from cni_common.parts.veth import Veth
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Result
from cni_common.spec.values import dataclass
from plugins.ptp.conf import PtpConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Part
    from cni_common.attachment.scheme import Told
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request

CONTAINER = 1  # index of the container's end in the result


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a plan of ptp needs to know: names and MACs of both ends, `mtu` in bytes."""

    host: str
    host_mac: str
    mac: str
    mtu: int


def facts(node: Node, request: Request, conf: PtpConf) -> Facts:
    """Return a name that is free, and MACs.

    Raises Code.INVALID_CONFIG or Code.INTERNAL.
    """
    mac = requested_mac.of_request(request, conf)
    if conf.ip_masq:
        nft.check_openable()
    return Facts(
        host=veth_pair.free_name(node.host, node.attachment),
        host_mac=naming.random_mac(),
        mac=mac or naming.random_mac(),
        mtu=conf.mtu,
    )


def told(known: Told) -> Facts:
    """Return the facts as prevResult tells them."""
    end = known.host_end()
    mac, host_mac = known.end.mac.lower(), end.mac.lower()
    mtu = end.mtu or known.conf.mtu
    return Facts(host=end.name, host_mac=host_mac, mac=mac, mtu=mtu)


def settled(conf: PtpConf, leased: Result) -> Result:
    """Return the result as far as it is not about links."""
    ips = [peer_routes.with_gateway(ip, CONTAINER) for ip in leased.ips]
    dns = conf.dns if conf.dns.is_given() else leased.dns
    return Result(ips=ips, routes=leased.routes, dns=dns)


def plan(attachment: Attachment, conf: PtpConf, result: Result, known: Facts) -> Plan:
    """Return what the attachment consists of."""
    inside, ips = attachment.ifname, tuple(result.ips)
    versions = tuple(sorted({ip.address.version for ip in ips}))
    parts: list[Part] = [
        NotTheHosts(ips=ips, gateways=True),
        Veth(
            host=known.host,
            inside=inside,
            host_mac=known.host_mac,
            mac=known.mac,
            mtu=known.mtu,
            routed=True,
            routed_ipv6=6 in versions,  # noqa: PLR2004 - the family's number
        ),
        HostRouted(
            host=known.host, inside=inside, ips=ips, routes=tuple(result.routes)
        ),
    ]
    if conf.ip_masq and ips:
        # Each of ours has a gateway; a later plugin may have added others.
        routed = {ip.address.network for ip in ips if ip.gateway is not None}
        subnets = tuple(sorted(routed, key=str))
        exempt = tuple(conf.ip_masq_except or ())
        parts.append(Masqueraded(subnets=subnets, exempt=exempt))
    parts.append(Forwarded(versions=versions))
    return Plan(tuple(parts), host_links=(known.host,), ends=(inside,))


def ready(request: Request, conf: PtpConf) -> None:
    """Raise Code.NOT_AVAILABLE unless rules and forwarding can be set."""
    del request
    if conf.ip_masq:
        nft.check_writable()
    if not forwarding.can_enable(4):
        msg = "enable forwarding: net/ipv4/ip_forward cannot be written"
        raise CNIError(Code.NOT_AVAILABLE, msg)


PLUGIN = engine.plugin(
    Scheme(
        "ptp",
        facts=facts,
        told=told,
        settled=settled,
        plan=plan,
        ready=ready,
        unrecorded=("veth", "masqueraded"),
        link_first=False,
    ),
    PtpConf,
)
