# SPDX-License-Identifier: Apache-2.0
"""The next hop: the link towards it, and who is to say that it has the address.

A question for the hop (ARP, neighbour solicitation) is a packet, too, and may end where
others do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.why import dropped
from cnipy.why.cause import Cause
from cnipy.why.leg import Trail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.route_lookup import Route
    from cni_common.spec.fields import IPAddress
    from cnipy.why.place import Place

_DEAD = frozenset({"failed", "incomplete"})


def of_link(place: Place, link: Link) -> Cause | None:
    """Return that a link is down, or has no carrier, if so."""
    if not link.is_up or link.operstate in {"down", "lowerlayerdown"}:
        return down(place, link)
    return None


def down(place: Place, link: Link) -> Cause:
    if link.is_up:
        text = f"{link.name} has no carrier: its other end is down, or not there"
        if link.kind == "bridge":
            text = f"{link.name} has no carrier: no port of it is up"
        return Cause("link-down", place.name, text, ("set its other end up",))
    change = (f"ip link set {link.name} up   # in {place.name}",)
    return Cause("link-down", place.name, f"{link.name} is down", change)


def bridge_down(place: Place, port: Link) -> Cause | None:
    """Return that the bridge of a port is down, if so: it passes on nothing."""
    bridge = place.by_index(port.master) if port.master else None
    if bridge is None or bridge.is_up:
        return None
    text = f"{bridge.name}, the bridge of {port.name}, is down"
    change = (f"ip link set {bridge.name} up   # in {place.name}",)
    return Cause("link-down", place.name, text, change)


def unanswered(
    place: Place, route: Route, to: IPAddress, link: Link, others: Sequence[Place]
) -> Cause | None:
    """Return why nobody answers for the next hop, if so; `others` may have it."""
    hop = route.gateway or to
    known = place.neighbour(hop, route.link)
    if known is not None and known.state not in _DEAD:
        return None
    for other in others:
        found = _dropped_question(other)
        if found is None and other.has(hop):
            found = _unanswered_by(other, route, link, hop)
        if found is not None:
            return found
    port = _other_end(link, others)
    if port is not None:
        where = next(place for place in others if place.is_host)
        if (unswitched := bridge_down(where, port)) is not None:
            return unswitched
        if port.isolated:
            return isolated(where, port, hop)
    who = f"the gateway {hop}" if route.gateway else str(hop)
    text = f"nobody on {link.name} says that it has {who}"
    change = (
        f"see who has {hop}: ip address; ip neighbour show dev {link.name}",
        "if it is a container that is gone: cnipy gc",
    )
    return Cause("no-neighbour", place.name, text, change)


def _dropped_question(other: Place) -> Cause | None:
    """Return the rule that dropped the question for the hop, if one did."""
    flows = {e.packet for e in other.events if e.source is not None and e.sport}
    asked = tuple(e for e in other.events if e.packet not in flows)
    found = Trail(other, asked, ())
    return dropped.by(found, found.drop) if found.drop is not None else None


def _unanswered_by(
    other: Place, route: Route, link: Link, hop: IPAddress
) -> Cause | None:
    """Return why who has the hop does not say so."""
    holder = other.holder(hop)
    if holder is not None and not holder.is_up:
        return down(other, holder)
    port = _other_end(link, [other])
    if port is None or route.source is None:
        return None
    by = other.by_index(port.master) if port.master else port
    if by is not None and is_filtered(other, route.source, by):
        return reverse_path(other, route.source, by)
    return None


def _other_end(link: Link, others: Sequence[Place]) -> Link | None:
    """Return the other end of a veth, in one of the places."""
    if link.kind != "veth" or not link.peer:
        return None
    found = (place.by_index(link.peer) for place in others if place.is_host)
    return next((each for each in found if each is not None), None)


def isolated(place: Place, port: Link, to: IPAddress | None) -> Cause:
    """Return that an isolated port keeps a packet from another one."""
    of = f" what is for {to}" if to else " it"
    text = (
        f"{port.name} is an isolated port: its bridge does not pass{of} to another one"
    )
    change: tuple[str, ...] = (
        "attach one of both to another network, which the host routes to",
        "or isolate no ports: portIsolation of bridge, ingressPolicy of firewall",
    )
    if place.parameter("net/bridge/bridge-nf-call-iptables") == "1":
        change = ("sysctl -w net.bridge.bridge-nf-call-iptables=0", *change)
    return Cause("isolated", place.name, text, change)


def wrong(
    place: Place, route: Route, to: IPAddress, others: Sequence[Place]
) -> Cause | None:
    """Return that the next hop is taken to have another MAC than it has, if so."""
    hop = route.gateway or to
    known = place.neighbour(hop, route.link)
    if known is None or not known.mac:
        return None
    for other in others:
        holder = other.holder(hop)
        if holder is None or holder.mac == known.mac:
            continue
        link = place.by_index(route.link)
        name = link.name if link else "its link"
        text = f"it sends to another MAC than {hop} has: {known.mac}, not {holder.mac}"
        text += f" ({known.state})"
        change = (f"ip neighbour delete {hop} dev {name}   # in {place.name}",)
        return Cause("wrong-neighbour", place.name, text, change)
    return None


def is_filtered(place: Place, source: IPAddress, link: Link) -> bool:
    """Tell whether what comes from `source` by a link is not let in.

    The larger value of both parameters counts: 1 asks for the way back to be by the
    same link, 2 for any way back (ip-sysctl.rst). Nobody else has an own address.
    """
    back = place.route(source)
    if back.kind == "local":
        return True
    if source.version == 6:  # noqa: PLR2004 - it has no such filter
        return False
    names = ("all", link.name)
    told = [place.parameter(f"net/ipv4/conf/{name}/rp_filter") for name in names]
    value = max(int(each or 0) for each in told)
    return value > 0 and (bool(back.error) or (value == 1 and back.link != link.index))


def reverse_path(place: Place, source: IPAddress, link: Link) -> Cause:
    """Return that the way back to the source leads elsewhere, which a filter minds."""
    back = place.route(source)
    other = place.by_index(back.link)
    if back.error or other is None:
        where = f"it has no route back to {source}"
    elif back.kind == "local":
        where = f"{source} is an address of its own"
    else:
        where = f"its way back to {source} is {other.name}"
    name = f"net/ipv4/conf/{link.name}/rp_filter"
    text = f"rp_filter drops what comes in by {link.name}: {where}"
    change = (
        f"have the route to {source} lead by {link.name}",
        f"sysctl -w {name}=2   # in {place.name}, if the routes are meant so",
    )
    return Cause("reverse-path", place.name, text, change)
