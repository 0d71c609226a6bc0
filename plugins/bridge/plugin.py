# SPDX-License-Identifier: Apache-2.0
"""bridge: the container gets a veth whose other end is a port of a bridge."""

from __future__ import annotations

from cni_common import naming, requested_mac, veth_pair
from cni_common.attachment import engine
from cni_common.attachment.scheme import Plan, Scheme
from cni_common.kernel import forwarding, links, nft
from cni_common.kernel.netlink import Netlink
from cni_common.parts.addresses import Addresses
from cni_common.parts.announced import Announced
from cni_common.parts.bridge import Bridge
from cni_common.parts.forwarded import Forwarded
from cni_common.parts.gateway import Gateway
from cni_common.parts.masqueraded import Masqueraded
from cni_common.parts.not_the_hosts import NotTheHosts
from cni_common.parts.port_flags import PortFlags
from cni_common.parts.veth import Veth
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Result
from cni_common.spec.values import dataclass
from plugins.bridge import gateway
from plugins.bridge.conf import BridgeConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Part
    from cni_common.attachment.scheme import Told
    from cni_common.kernel.link_answer import Link
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request

CONTAINER = 2  # index of the container's end in the result


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a plan of the bridge plugin needs to know beside its configuration.

    Names and MACs of both ends; `bridge` by its own name, whose MAC is looked at if
    given; `mtu` in bytes; whether packets would come `twice`.
    """

    bridge: str
    host: str
    host_mac: str = ""
    mac: str = ""
    bridge_mac: str = ""
    mtu: int = 0
    twice: bool = False


def facts(node: Node, request: Request, conf: BridgeConf) -> Facts:
    """Return names that are free, and MACs.

    Raises Code.INVALID_CONFIG or Code.INTERNAL.
    """
    mac = requested_mac.of_request(request, conf)
    if conf.ip_masq or conf.macspoofchk:
        nft.check_openable()
    host = naming.host_veth(node.attachment)
    bridge, taken = node.look(conf.bridge, host)
    if taken is not None:
        host = veth_pair.free_name(node.host, node.attachment)
    return Facts(
        bridge=_own_name(bridge, conf),
        host=host,
        host_mac=naming.random_mac(),
        mac=mac or naming.random_mac(),
        mtu=conf.mtu,
        twice=conf.promisc_mode and _are_likely(),
    )


def _are_likely() -> bool:
    from cni_common import duplicates  # noqa: PLC0415 - for one key

    return duplicates.are_likely()


def told(known: Told) -> Facts:
    """Return the facts as prevResult and the record tell them."""
    bridge = _own_name(known.node.find(known.conf.bridge), known.conf)
    port = known.host_end(bridge)
    return Facts(
        bridge=bridge,
        host=port.name,
        host_mac=port.mac.lower(),
        mac=known.end.mac.lower(),
        bridge_mac=known.on_host(bridge).mac.lower(),
        mtu=port.mtu or known.conf.mtu,
        twice=known.has("single_copies"),
    )


def settled(conf: BridgeConf, leased: Result) -> Result:
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


def plan(
    attachment: Attachment, conf: BridgeConf, result: Result, known: Facts
) -> Plan:
    """Return what the attachment consists of."""
    inside, gateway_link = attachment.ifname, _gateway_link(conf, known)
    parts: list[Part] = []
    if result.ips:
        parts.append(NotTheHosts(ips=tuple(result.ips), link=gateway_link))
    parts += _port(conf, known, inside)
    if not conf.disable_container_interface:
        parts.append(
            Addresses(
                inside=inside,
                ips=tuple(result.ips),
                routes=tuple(result.routes),
                port=known.host,
                detects_duplicates=conf.enabledad,
                by_gateways=conf.gateway and conf.gateway_per_subnet,
            )
        )
    parts += _network(conf, known, result)
    if not conf.disable_container_interface:
        parts.append(Announced(port=known.host, inside=inside))
    is_gateway = conf.gateway and bool(result.ips)
    if is_gateway:
        versions = {ip.address.version for ip in result.ips}
        parts.append(Forwarded(versions=tuple(sorted(versions))))
    return Plan(
        parts=tuple(parts),
        host_links=(known.bridge, known.host),
        ends=(inside,),
        late_links=(gateway_link,) if conf.vlan and is_gateway else (),
    )


def _gateway_link(conf: BridgeConf, known: Facts) -> str:
    return f"{known.bridge}.{conf.vlan}" if conf.vlan else known.bridge


def _port(conf: BridgeConf, known: Facts, inside: str) -> list[Part]:
    """Return the bridge and its port."""
    parts: list[Part] = [
        Bridge(
            name=known.bridge,
            mtu=conf.mtu,
            vlan_filtering=conf.vlan_filtering,
            is_gateway=conf.gateway,
            promiscuous=conf.promisc_mode,
            bare=conf.disable_container_interface,
            mac=known.bridge_mac,
        ),
        Veth(
            host=known.host,
            inside=inside,
            host_mac=known.host_mac,
            mac=known.mac,
            mtu=known.mtu,
            bridge=known.bridge,
        ),
        PortFlags(
            port=known.host, hairpin=conf.hairpin_mode, isolated=conf.port_isolation
        ),
    ]
    if conf.has_options or known.twice:
        from plugins.bridge import options  # noqa: PLC0415 - for keys that few have

        parts += options.parts(conf, known, inside)
    return parts


def _network(conf: BridgeConf, known: Facts, result: Result) -> list[Part]:
    """Return what the host has for the addresses: gateways, masquerading."""
    parts: list[Part] = []
    ips = tuple(result.ips)
    if conf.gateway and ips:
        parts.append(
            Gateway(
                bridge=known.bridge,
                addresses=tuple(gateway.addresses_of(ips)),
                ips=ips,
                vlan=conf.vlan,
                mtu=conf.mtu,
                forced=conf.force_address,
                beside=conf.gateway_per_subnet,
            )
        )
    if conf.ip_masq and ips:
        subnets = sorted({ip.address.network for ip in ips}, key=str)
        exempt = tuple(conf.ip_masq_except or ())
        parts.append(Masqueraded(subnets=tuple(subnets), exempt=exempt))
    return parts


def ready(request: Request, conf: BridgeConf) -> None:
    """Raise Code.NOT_AVAILABLE unless rules and forwarding can be set."""
    del request
    with Netlink() as host:
        _own_name(links.get(host, conf.bridge), conf)
    if conf.ip_masq or conf.macspoofchk:
        nft.check_writable()
    if conf.gateway and not forwarding.can_enable(4):
        msg = "enable forwarding: net/ipv4/ip_forward cannot be written"
        raise CNIError(Code.NOT_AVAILABLE, msg)


def _own_name(link: Link | None, conf: BridgeConf) -> str:
    """Return the own name of the bridge, a `link` that `conf` may tell by another one.

    By its own it is locked, recorded and found in /proc/sys. Raises Code.INVALID_CONFIG
    for a name that no link has, and that a bridge cannot be given.
    """
    return conf.called(link.name if link else conf.bridge).bridge


PLUGIN = engine.plugin(
    Scheme(
        "bridge",
        facts=facts,
        told=told,
        settled=settled,
        plan=plan,
        ready=ready,
        unrecorded=("veth", "spoof_guard", "single_copies", "masqueraded"),
    ),
    BridgeConf,
)
