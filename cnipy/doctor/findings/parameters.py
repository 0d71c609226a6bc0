# SPDX-License-Identifier: Apache-2.0
"""Kernel parameters that keep packets of containers from their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common import naming
from cni_common.kernel import forwarding, route_get, routes, sysctl
from cni_common.kernel.routes import MAIN_TABLE
from cnipy.doctor import wanted
from cnipy.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.link_answer import Link
    from cnipy.doctor.examination import Examination, Held
    from cnipy.network import Network

_STRICT = 1
_IPV6 = 6
_NAMES = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
_OF_LINK = {4: "net/ipv4/conf/{}/forwarding", 6: "net/ipv6/conf/{}/forwarding"}


def find_forwarding_off(node: Examination) -> Iterator[Finding]:
    """Yield what is not forwarded, by the host or from one of its links."""
    versions: dict[int, list[Held]] = {}
    for held in node.held:
        for part in held.parts("forwarded"):
            for version in getattr(part, "versions", ()):
                versions.setdefault(version, []).append(held)
    for version, users in versions.items():
        what = f"by IPv{version} containers reach nothing beyond the node, nor are they"
        what += " reached from there"
        if not forwarding.is_enabled(version):
            name = _NAMES[version]
            yield _forwarding(what, f"{name} is 0", name)
            continue
        used = {node.towards(held) for held in users}
        used |= {node.uplink.name} if node.uplink else set()
        for link in sorted(used - {""}):
            name = _OF_LINK[version].format(link)
            if sysctl.shown(name) == "0":
                cause = f"what {link} receives is not forwarded: {name} is 0"
                yield _forwarding(what, cause, name)


def _forwarding(what: str, cause: str, name: str) -> Finding:
    return Finding("forwarding-off", what, cause, (f"sysctl -w {name}=1",))


def find_reverse_path(node: Examination) -> Iterator[Finding]:
    """Yield links whose packets a strict reverse path filter drops."""
    towards = [(held, node.towards(held)) for held in node.held]
    strict = {link for link in {link for _, link in towards} - {""} if _is_strict(link)}
    for held, link in towards:
        if link not in strict:
            continue
        for address in node.addresses_of(held):
            back = route_get.find_link_towards(address) if address.version == 4 else ""  # noqa: PLR2004 - the family's number
            if back not in {link, ""}:
                what = f"{held.item} reaches nothing: what it sends is dropped"
                where = f"{address} by {back}" if back else f"{address} nowhere"
                yield _reverse_path(what, link, where, held.network)
    published = any(held.parts("published_ports") for held in node.held)
    for second in _second_uplinks(node) if published else ():
        if _is_strict(second.name):
            what = f"published ports are not reached from beyond {second.name}"
            main = node.uplink.name if node.uplink else ""
            yield _reverse_path(what, second.name, f"what is beyond by {main}", "")


def _reverse_path(what: str, link: str, where: str, network: str) -> Finding:
    cause = f"rp_filter is strict on {link}, and the host routes {where}"
    name = f"net/ipv4/conf/{link}/rp_filter"
    return Finding("rp-filter", what, cause, (f"sysctl -w {name}=2",), network)


def _is_strict(link: str) -> bool:
    """Tell whether the link has the filter; the larger value counts (ip-sysctl.rst)."""
    told = (sysctl.shown(f"net/ipv4/conf/{x}/rp_filter") for x in ("all", link))
    return max(int(value or 0) for value in told) == _STRICT


def _second_uplinks(node: Examination) -> Iterator[Link]:
    """Yield links that have a default route beside the host's first one."""
    for link in node.links.values():
        if naming.is_ours(link.alias) or not link.is_up:
            continue
        if node.uplink is None or link.index == node.uplink.index:
            continue
        found = routes.of_link(node.host.host, link, MAIN_TABLE, (4,))
        if any(route.dst.prefixlen == 0 for route in found):
            yield link


def find_bridged_filter(node: Examination) -> Iterator[Finding]:
    """Yield networks whose neighbours cannot reach each other's published ports.

    br_netfilter translates a frame's address on the bridge, which then hands it from
    one isolated port to the other: that is what isolation forbids.
    """
    parameter = "net/bridge/bridge-nf-call-iptables"
    if sysctl.shown(parameter) != "1":
        return
    isolated = {link.name for link in node.links.values() if link.isolated}
    for network in node.networks:
        held = [each for each in node.held if each.network == network.name]
        ports = {
            str(getattr(part, "host", "")) for h in held for part in h.parts("veth")
        }
        if ports & isolated and any(each.parts("published_ports") for each in held):
            what = "containers do not reach the published ports of their neighbours"
            cause = (
                "with br_netfilter a translated packet stays on the bridge, and ports "
                f"of {wanted.bridge(network)} are isolated: {parameter} is 1"
            )
            cure = (f"sysctl -w {parameter}=0",)
            yield Finding("br-netfilter", what, cause, cure, network.name)


def find_ipv6_off(node: Examination) -> Iterator[Finding]:
    """Yield networks with IPv6 subnets, on links that have none."""
    for network in node.networks:
        if not any(net.version == _IPV6 for net in wanted.subnets(network)):
            continue
        if not sysctl.exists("net/ipv6/conf"):
            yield _ipv6_off(
                network, "this kernel has none", "boot without ipv6.disable=1"
            )
            continue
        held = [each for each in node.held if each.network == network.name]
        for link in sorted({node.towards(each) for each in held} - {""}):
            name = f"net/ipv6/conf/{link}/disable_ipv6"
            if sysctl.shown(name) == "1":
                yield _ipv6_off(network, f"{name} is 1", f"sysctl -w {name}=0")


def _ipv6_off(network: Network, cause: str, cure: str) -> Finding:
    what = "containers have no IPv6, though the network has a subnet of it"
    return Finding("ipv6-off", what, cause, (cure, "cnipy repair"), network.name)
