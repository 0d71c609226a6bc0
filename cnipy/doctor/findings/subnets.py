# SPDX-License-Identifier: Apache-2.0
"""Subnets that somebody else has, and links that take smaller packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common import naming
from cni_common.kernel import routes
from cnipy.doctor import wanted
from cnipy.doctor.finding import Finding
from cnipy.doubts import between
from cnipy.doubts.entries import entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.spec.fields import IPNetwork
    from cnipy.doctor.examination import Examination
    from cnipy.network import Network


def find_overlap(node: Examination) -> Iterator[Finding]:
    """Yield networks with a subnet that the host has, or routes, elsewhere."""
    for network in node.networks:
        for subnet in wanted.subnets(network):
            for who in _others(node, network, subnet):
                what = f"neighbours of {subnet} are taken for each other's"
                file = node.files[network.name]
                cure = (f"write another subnet into {file}, and attach anew",)
                yield Finding(
                    "subnet-overlap", what, f"{subnet} is {who}", cure, network.name
                )


def _others(node: Examination, network: Network, subnet: IPNetwork) -> Iterator[str]:
    for link, held in node.foreign_addresses:
        of_link = held.address.network
        if _overlap(subnet, of_link) and of_link.num_addresses > 1:
            yield f"also on {link.name}: the host has {held.address} there"
    yield from _routed_elsewhere(node, network, subnet)
    one = _member(node, network)
    for other in node.all_networks:
        if other.name == network.name:
            continue
        for mine, theirs in between.routed_twice(node.suite, one, _member(node, other)):
            if mine == subnet:
                yield f"also of network {other.name}: {theirs}"


def _member(node: Examination, network: Network) -> between.Member:
    listed = entries(node.suite, network)
    return between.Member(network.name, node.files[network.name], listed)


def _routed_elsewhere(
    node: Examination, network: Network, subnet: IPNetwork
) -> Iterator[str]:
    """Yield routes of others to a part of the subnet, which are narrower and win."""
    for link in node.links.values():
        is_own = link.name == wanted.bridge(network) or naming.is_ours(link.alias)
        if is_own or link.name == "lo" or not link.is_up:
            continue
        for route in routes.of_link(node.host.host, link, versions=(subnet.version,)):
            is_narrower = route.dst.prefixlen >= subnet.prefixlen
            if route.gw is not None and is_narrower and _overlap(subnet, route.dst):
                yield f"routed by {link.name}: {route.dst} via {route.gw}"


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def find_mtu(node: Examination) -> Iterator[Finding]:
    """Yield networks whose containers send larger packets than the uplink takes."""
    uplink = node.uplink
    if uplink is None:
        return
    largest: dict[str, tuple[int, str]] = {}
    for held in node.held:
        for part in held.parts("veth"):
            link = node.links_by_name.get(str(getattr(part, "host", "")))
            if link is not None and link.mtu > uplink.mtu:
                found = largest.get(held.network, (0, ""))
                largest[held.network] = max(found, (link.mtu, link.name))
    for name, (mtu, port) in largest.items():
        what = (
            "large packets of containers depend on ICMP: where that is dropped, "
            "connections stand still when much is sent"
        )
        cause = f"{port} takes {mtu} bytes, the uplink {uplink.name} {uplink.mtu}"
        where = node.files.get(name, f"the list of {name}")
        cure = (f'write "mtu": {uplink.mtu} into {where}, and attach anew',)
        yield Finding("mtu", what, cause, cure, name)
