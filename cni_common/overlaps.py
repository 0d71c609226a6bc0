# SPDX-License-Identifier: Apache-2.0
"""Subnets that are the host's already: containers must not take it off its network.

What counts is where the host has an address. A wider route, as a VPN has one, does
not, nor a single address (overlays have one in the containers' own subnet), nor what
was made for containers. See docs/decisions/0030-subnets-that-are-the-hosts.md.
"""

from __future__ import annotations

from cni_common import naming
from cni_common.kernel import addresses, links, route_get
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.fields import IPInterface, IPNetwork
    from cni_common.spec.result import IP


def refuse_gateways(host: Netlink, ips: Iterable[IP], *, own: str = "") -> None:
    """Raise Code.INTERNAL if the host would become a gateway that is its neighbour.

    Neighbours on the link `own` apart. At constant cost.
    """
    for ip in ips:
        if ip.gateway is None or ip.gateway.is_link_local:
            continue
        found = route_get.connected(ip.gateway)
        if found is None or found.link == own or not _is_taken(ip, found):
            continue
        link = links.get(host, found.link)
        if link is None or naming.is_ours(link.alias):
            continue
        # Of IPv6 the tables may not have learnt yet that the address is the host's.
        if route_get.holder(ip.gateway) is None:
            raise _refusal(ip.address.network, found.dst, link)


def refuse_subnets(host: Netlink, own: Link, ips: Iterable[IP]) -> None:
    """Raise Code.INTERNAL if a subnet of `ips`, to be on the link `own`, is another's
    too.

    The kernel lists the addresses of all links.
    """
    wanted = {ip.address.network for ip in ips}
    for index, assigned in addresses.of_others(host, own):
        held = assigned.address
        for subnet in wanted:
            if _overlap(subnet, held):
                other = links.by_index(host, index)
                if other is not None and not _is_apart(host, own, other):
                    raise _refusal(subnet, held, other)


def refuse_own(ips: Iterable[IP], *, link: str = "") -> None:
    """Raise Code.INTERNAL if the host has an address of `ips` itself.

    With `link` on that one only: others may lie in other networks.
    """
    for ip in ips:
        holder = route_get.holder(ip.address.ip)
        if holder is not None and link in {"", holder}:
            msg = f"use address {ip.address}: the host has it on {holder}"
            raise CNIError(Code.INTERNAL, msg, "leave it out of the network's range")


def _is_taken(ip: IP, found: route_get.Connected) -> bool:
    """Tell whether the gateway of `ip` is a neighbour on what was `found`."""
    if found.dst.num_addresses == 1:
        return True
    if not found.is_own:
        return False
    return found.dst.version == 4 or _contains(ip.address.network, found.dst)  # noqa: PLR2004 - the family's number


def _overlap(subnet: IPNetwork, held: IPInterface) -> bool:
    """Tell whether `subnet` takes neighbours, or its own address, from who has `held`.

    A part of an IPv6 network may be set aside for containers, of one provider's /64.
    """
    if held.version != subnet.version or held.network.num_addresses == 1:
        return False
    if subnet.version == 4:  # noqa: PLR2004 - the family's number
        return subnet.overlaps(held.network)
    return held.ip in subnet or _contains(subnet, held.network)


def _contains(outer: IPNetwork, inner: IPNetwork) -> bool:
    return outer.overlaps(inner) and outer.prefixlen <= inner.prefixlen


def _is_apart(host: Netlink, own: Link, other: Link) -> bool:
    """Tell whether what `other` is connected to does not matter for `own`."""
    if naming.is_ours(other.alias) or other.master == own.index:
        return True
    return _domain(host, other) != _domain(host, own)


def _domain(host: Netlink, link: Link) -> int:
    """Return the index of the VRF that `link` is, or is in; 0 without one."""
    master = links.by_index(host, link.master) if link.master else None
    for candidate in (link, master):
        if candidate is not None and candidate.kind == "vrf":
            return candidate.index
    return 0


def _refusal(subnet: IPNetwork, held: IPNetwork | IPInterface, link: Link) -> CNIError:
    msg = f"use subnet {subnet}: the host has {held} on {link.name}"
    remedy = "with both it would lose neighbours there: give the containers another"
    return CNIError(Code.INTERNAL, msg, remedy)
