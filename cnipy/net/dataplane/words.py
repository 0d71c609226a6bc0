# SPDX-License-Identifier: Apache-2.0
"""What the kernel is told, as ip(8), bridge(8) and wg(8) would write it."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cni_common.kernel.nexthops import Nexthop
    from cni_common.kernel.wireguards import Peer
    from cni_common.spec.fields import IPAddress, IPInterface, IPNetwork
    from cnipy.net.dataplane.desired import Route


def address(held: IPInterface, device: str) -> str:
    return f"address {held} dev {device}"


def entry(mac: str, host: IPAddress, device: str) -> str:
    return f"fdb {mac} dst {host} dev {device}"


def neighbour(gateway: IPAddress, mac: str, device: str) -> str:
    return f"neighbour {gateway} lladdr {mac} dev {device}"


def nexthop(nhid: int, hop: Nexthop) -> str:
    return f"nexthop {nhid} {leads(hop)}"


def leads(hop: Nexthop) -> str:
    """Return where a nexthop leads."""
    if hop.tunnel is not None:
        return f"encap id {hop.tunnel.vni} dst {hop.tunnel.destination}"
    if hop.gateway is not None:
        return f"via {hop.gateway}{' onlink' if hop.on_link else ''}"
    return "by the device"


def route(dst: IPNetwork, wanted: Route, node: str) -> str:
    if wanted.nexthop is None:
        return f"route unreachable {dst}"
    source = f" src {wanted.source}" if wanted.source else ""
    of = f" of node {node}" if node else ""
    return f"route {dst} {leads(wanted.nexthop)}{source}{of}"


def key(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def peer(each: Peer) -> str:
    allowed = ",".join(sorted(map(str, each.allowed)))
    at = f"endpoint {each.endpoint} port {each.port}"
    return f"peer {key(each.key)} {at} allowed {allowed}"
