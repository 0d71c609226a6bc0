# SPDX-License-Identifier: Apache-2.0
"""CHECK: everything that ADD did, against the kernel as it is now.

What later plugins of a chain may change is accepted: another MTU, another MAC if
prevResult says so, further addresses and routes.
"""

from __future__ import annotations

from ipaddress import ip_interface

from cni_common import (
    duplicates,
    layer3,
    masquerade,
    previous,
    spoofcheck,
    veth_pair,
)
from cni_common.kernel import bridges, forwarding, links
from cni_common.kernel.routes import SCOPE_LINK
from cni_common.naming import Attachment
from cni_common.sides import sides
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Route
from plugins.bridge import gateway, network, record, vlans

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.bridges import PortVlans
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.request import Request
    from cni_common.spec.result import IP, Result
    from plugins.bridge.conf import BridgeConf


def attachment(request: Request, conf: BridgeConf) -> None:
    """Raise code 999 for the first thing that is not as ADD left it."""
    result = previous.required(request)
    end, index = previous.container_end(request, result)
    with sides(request.netns) as side:
        conf = network.named(side.host, conf)
        bridge = _bridge(side.host, conf, result)
        link = veth_pair.check_container_end(side.container, end)
        port = _port(side.host, bridge, link, result, conf)
        _port_flags(side.host, port, conf)
        if conf.macspoofchk:
            spoofcheck.check(port.name, link.mac)
        noted = record.read(Attachment.of(request))
        if noted and noted.duplicates:
            duplicates.check(link.mac)
        if conf.disable_container_interface:
            return
        _usable(port, link)
        ips = previous.ips_of(result, index)
        layer3.check_addresses(side.container, link, ips)
        documents = noted.routes if noted else ()
        for route in layer3.completed(result.routes, documents):
            layer3.check_route(side.container, link, route, ips)
        if conf.gateway and ips:
            _gateway(side.host, conf, ips)
        if conf.ip_masq:
            subnets = sorted({ip.address.network for ip in ips}, key=str)
            masquerade.check(subnets, conf.ip_masq_except or ())


def _bridge(host: Netlink, conf: BridgeConf, result: Result) -> Link:
    bridge = bridges.existing(host, conf.bridge)
    if not bridge.is_up:
        raise _wrong(f"check bridge {bridge.name}: it is down")
    for interface in result.interfaces:
        same = interface.name == bridge.name and not interface.sandbox
        mac = interface.mac.lower() or bridge.mac
        # Without a gateway's address nobody has the bridge's MAC in a table.
        if same and conf.gateway and mac != bridge.mac:
            msg = f"check bridge {bridge.name}: its MAC is {bridge.mac}"
            raise _wrong(f"{msg}, not {mac}")
    if conf.promisc_mode and not bridge.is_promiscuous:
        raise _wrong(f"check bridge {bridge.name}: it is not promiscuous")
    return bridge


def _port(
    host: Netlink, bridge: Link, link: Link, result: Result, conf: BridgeConf
) -> Link:
    port = links.by_index(host, link.peer)
    if port is None or port.master != bridge.index:
        msg = f"check interface {link.name}: its peer is no port of {bridge.name}"
        raise _wrong(msg)
    noted = next((i for i in result.interfaces if i.name == port.name), None)
    if noted is None:
        msg = f"check interface {link.name}: its peer {port.name} is not in prevResult"
        raise _wrong(msg)
    if noted.mac and port.mac != noted.mac.lower():
        msg = f"check bridge port {port.name}: its MAC is {port.mac}"
        raise _wrong(f"{msg}, not {noted.mac}")
    mtu = noted.mtu or conf.mtu
    if mtu and port.mtu != mtu:
        msg = f"check bridge port {port.name}: its MTU is {port.mtu}, not {mtu}"
        raise _wrong(msg)
    if not port.is_up:
        raise _wrong(f"check bridge port {port.name}: it is down")
    return port


def _port_flags(host: Netlink, port: Link, conf: BridgeConf) -> None:
    if port.hairpin != conf.hairpin_mode:
        state = "off" if conf.hairpin_mode else "on"
        raise _wrong(f"check bridge port {port.name}: hairpin mode is {state}")
    if port.isolated != conf.port_isolation:
        state = "off" if conf.port_isolation else "on"
        raise _wrong(f"check bridge port {port.name}: isolation is {state}")
    if vlans.wanted(conf):
        _vlans(port, vlans.expected(conf), bridges.vlans(host, port))


def _vlans(port: Link, expected: PortVlans, present: PortVlans) -> None:
    missing = sorted(expected.tagged - present.tagged)
    if expected.pvid not in {0, present.pvid}:
        missing = [expected.pvid, *missing]
    if missing:
        msg = f"check bridge port {port.name}: it lacks VLAN {_listed(missing)}"
        carried = _listed(sorted(present.untagged | present.tagged))
        own = f", of which {present.pvid} untagged" if present.pvid else ""
        details = f"it has {carried or 'none'}{own}"
        raise CNIError(Code.INTERNAL, msg, details)


def _listed(vids: list[int]) -> str:
    return ", ".join(str(vid) for vid in vids)


def _usable(port: Link, link: Link) -> None:
    if not link.is_up:
        raise _wrong(f"check interface {link.name}: it is down")
    if not port.port_enabled:
        raise _wrong(f"check bridge port {port.name}: it is disabled")


def _gateway(host: Netlink, conf: BridgeConf, ips: list[IP]) -> None:
    link = links.existing(host, vlans.gateway_name(conf))
    held = layer3.held(host, link)
    for address in gateway.addresses_of(ips):
        if address not in held:
            raise _wrong(f"check gateway {link.name}: it lacks {address}")
    for ip in gateway.outside(ips):
        route = Route(dst=ip_interface(ip.address.network), scope=SCOPE_LINK)
        layer3.check_route(host, link, route, ())
    for version in {ip.address.version for ip in ips}:
        if not forwarding.is_enabled(version):
            raise _wrong(f"check forwarding: IPv{version} is not forwarded")


def _wrong(msg: str) -> CNIError:
    return CNIError(Code.INTERNAL, msg)
