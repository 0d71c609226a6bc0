# SPDX-License-Identifier: Apache-2.0
"""Where one way of a flow ended: place by place, from who sends to who is to get it.

Each step asks what was seen; only where it was not seen the kernel is asked why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.why import dropped, hop, routing
from cnipy.why.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.kernel.link_answer import Link
    from cni_common.spec.fields import IPAddress
    from cnipy.why.leg import Trail
    from cnipy.why.place import Place


def of_sender(trail: Trail, to: IPAddress, others: Sequence[Place]) -> Cause | None:
    """Return why a packet did not leave the place that sends it, None if it did.

    `others` are those where the next hop may be.
    """
    if trail.drop is not None:
        return dropped.by(trail, trail.drop)
    if (untraced := dropped.untraced(trail, "output", "postrouting")) is not None:
        return untraced
    if trail.went_out:
        return hop.wrong(trail.place, trail.place.route(to), to, others)
    return routing.unsent(trail.place, to, others)


def of_crossing(sender: Trail, receiver: Trail) -> Cause | None:
    """Return why a packet that left one place did not come into the next.

    The ends of a veth are each other's; what another link sends goes elsewhere.
    """
    link = sender.last_link
    if receiver.came_in or link is None or link.kind != "veth":
        return None
    place = receiver.place
    peer = place.by_index(link.peer)
    if peer is not None and not peer.is_up:
        text = f"{link.name} of {sender.place.name} ends at {peer.name}, which is down"
        change = (f"ip link set {peer.name} up   # in {place.name}",)
        return Cause("link-down", place.name, text, change)
    text = f"it left {sender.place.name} by {link.name}, and nothing came in"
    return Cause("lost", place.name, text)


def of_forwarder(trail: Trail, others: Sequence[Place]) -> Cause | None:
    """Return why the host did not send on what came in, None if it did."""
    if trail.drop is not None:
        return dropped.by(trail, trail.drop)
    if _has_left(trail):
        return None
    if not trail.reached("prerouting"):
        return _of_port(trail)
    if not trail.passed("prerouting"):
        return _tracking(trail)
    return _unsent(trail, others)


def _unsent(trail: Trail, others: Sequence[Place]) -> Cause | None:
    """Return why what passed prerouting was not sent on."""
    found = dropped.untraced(trail, "forward", "postrouting")
    if found is None and not _went_on(trail):
        found = _of_bridged(trail, others) or routing.not_routed(trail)
    return found or routing.unsent_on(trail, others)


def _of_bridged(trail: Trail, others: Sequence[Place]) -> Cause | None:
    """Return why what br_netfilter has translated cannot leave its bridge.

    It was to go to an isolated port, or back by the one that it came in by.
    """
    place, ends = trail.place, trail.arrived
    if place.parameter("net/bridge/bridge-nf-call-iptables") != "1" or ends is None:
        return None
    final = _final(trail) or ends[1]
    links = map(place.link, dict.fromkeys(seen.link for seen in trail.came_in))
    holders = [held for other in others if (held := other.holder(final)) is not None]
    for port in links:
        if port is None or port.master != place.route(final).link:
            continue
        if any(held.peer == port.index for held in holders) and not port.hairpin:
            return _hairpin(place, port, final)
        if port.isolated:
            return hop.isolated(place, port, final)
    return None


def _hairpin(place: Place, port: Link, final: IPAddress) -> Cause:
    """Return that a bridge does not send back what is for where it came from."""
    text = f"{final} is where it came from, by {port.name}: with br_netfilter the "
    text += "translated packet stays on the bridge, which sends nothing back by a port"
    change = (
        '"hairpinMode": true for bridge in the list, for containers to come',
        f"bridge link set dev {port.name} hairpin on   # for now",
        "or sysctl -w net.bridge.bridge-nf-call-iptables=0",
    )
    return Cause("hairpin", place.name, text, change)


def _final(trail: Trail) -> IPAddress | None:
    """Return the destination as the last rules had it."""
    told = [e.destination for e in trail.events if e.destination is not None]
    return told[-1] if told else None


def _has_left(trail: Trail) -> bool:
    """Tell whether the packet went out by another link than it came in by.

    What went out by a bridge has left when it is seen on a port, too.
    """
    came_in = {seen.link for seen in trail.came_in}
    out = [trail.place.link(seen.link) for seen in trail.went_out]
    ways = [x for x in out if x is not None and x.kind != "bridge"]
    others = {x.name for x in ways} - came_in
    return bool(others) or (bool(ways) and trail.passed("postrouting"))


def _of_port(trail: Trail) -> Cause | None:
    """Return why what came in by a link was not even looked at."""
    links = map(trail.place.link, dict.fromkeys(x.link for x in trail.came_in))
    ports = [link for link in links if link is not None and link.master]
    found = _of_bridge(trail, ports[0]) if ports else None
    if found is None and _is_for_another(trail):
        return routing.wrong_mac(trail)
    return found


def _went_on(trail: Trail) -> bool:
    return trail.reached("forward") or trail.reached("input")


def _is_for_another(trail: Trail) -> bool:
    return bool(trail.came_in) and all(seen.others for seen in trail.came_in)


def _of_bridge(trail: Trail, port: Link) -> Cause | None:
    """Return why a bridge did not pass on what came in by `port`."""
    place, ends = trail.place, trail.ends
    if trail.passed("forward", "bridge") or trail.passed("input", "bridge"):
        return None
    if trail.went_out:
        return None
    if (unswitched := hop.bridge_down(place, port)) is not None:
        return unswitched
    if not port.port_enabled:
        text = f"{port.name} takes no part in its bridge: it is {port.operstate}"
        change = (f"ip link set {port.name} up   # in {place.name}",)
        return Cause("link-down", place.name, text, change)
    if port.isolated:
        return hop.isolated(place, port, ends[1] if ends else None)
    text = f"the bridge of {port.name} did not pass it on, which no rule tells of"
    if trail.place.parameter("net/bridge/bridge-nf-call-iptables") is None:
        text += ": it may be of a VLAN that no port has"
    change = (f"bridge vlan show; bridge fdb show br   # in {place.name}",)
    return Cause("bridge", place.name, text, change)


def _tracking(trail: Trail) -> Cause:
    """Return what connection tracking had against a packet."""
    place = trail.place
    count = place.parameter("net/netfilter/nf_conntrack_count")
    most = place.parameter("net/netfilter/nf_conntrack_max")
    if count and most and int(count) >= int(most):
        text = f"connection tracking is full: {count} of {most} connections"
        change = (f"sysctl -w net.netfilter.nf_conntrack_max={int(most) * 2}",)
        return Cause("conntrack-full", place.name, text, change)
    untraced = dropped.untraced(trail, "prerouting")
    if untraced is not None:
        return untraced
    text = "it ended before routing, and no rule tells of it: a fragment, or what "
    text += "connection tracking does not take"
    change = ("conntrack -S; conntrack -L   # what is counted, and known",)
    return Cause("conntrack", place.name, text, change)


def of_receiver(trail: Trail, to: IPAddress) -> Cause | None:
    """Return why who is to get a packet did not, None if it was delivered."""
    if trail.drop is not None:
        return dropped.by(trail, trail.drop)
    if trail.reached("input"):
        return dropped.untraced(trail, "input")
    if _is_for_another(trail):
        return routing.wrong_mac(trail)
    if trail.reached("prerouting") and not trail.passed("prerouting"):
        return _tracking(trail)
    if trail.came_in:
        return routing.not_taken(trail, to)
    return None
