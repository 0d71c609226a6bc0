# SPDX-License-Identifier: Apache-2.0
"""Why a packet has no way on: routes, neighbours, forwarding, reverse path, links."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from cnipy.why import hop
from cnipy.why.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.route_lookup import Route
    from cni_common.spec.fields import IPAddress
    from cnipy.why.leg import Trail
    from cnipy.why.place import Place

_FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
_OF_LINK = {4: "net/ipv4/conf/{}/forwarding", 6: "net/ipv6/conf/{}/forwarding"}


def unsent(place: Place, to: IPAddress, others: Sequence[Place]) -> Cause:
    """Return why `place` has not sent what is for `to`; `others` may have it."""
    found = of_family(place, to)
    if found is not None:
        return found
    route = place.route(to)
    if route.error:
        return no_route(place, to, route)
    link = place.by_index(route.link)
    if link is not None:
        found = hop.of_link(place, link)
        found = found or hop.unanswered(place, route, to, link, others)
    name = link.name if link else "any link"
    text = f"it did not leave by {name}, and neither a rule nor a neighbour tells why"
    return found or Cause("unsent", place.name, text)


def of_family(place: Place, to: IPAddress) -> Cause | None:
    """Return that the place has no address of the family of `to`, if so."""
    if any(address.version == to.version for address in place.addresses()):
        return None
    if place.has(to):
        return None
    text = f"there is no IPv{to.version} address to speak to {to} from"
    if to.version == 6 and _is_ipv6_off(place):  # noqa: PLR2004 - the family's number
        text += ": IPv6 is switched off (disable_ipv6)"
    change = (f"give its network a subnet of IPv{to.version}, or use another address",)
    return Cause("no-address", place.name, text, change)


def _is_ipv6_off(place: Place) -> bool:
    names = [link.name for link in place.links() if link.name != "lo"]
    told = [place.parameter(f"net/ipv6/conf/{name}/disable_ipv6") for name in names]
    return "1" in told or (bool(names) and all(value is None for value in told))


def no_route(place: Place, to: IPAddress, route: Route) -> Cause:
    """Return that the place has no route to `to`."""
    down = [x for x in place.links() if x.name != "lo" and not x.is_up]
    if down:
        return hop.down(place, down[0])
    text = f"there is no route to {to}: {_told(route)}"
    family = "-6 " if to.version == 6 else ""  # noqa: PLR2004 - the family's number
    return Cause("no-route", place.name, text, _route_change(place, family))


def _told(route: Route) -> str:
    """Return why there is no route, which the kernel tells by an error alone."""
    kinds = {errno.EINVAL: "a blackhole", errno.EACCES: "prohibited"}
    return kinds.get(route.error) or os.strerror(route.error).lower()


def _route_change(place: Place, family: str) -> tuple[str, ...]:
    if place.is_host:
        return (f"ip {family}route show; ip {family}rule show   # what leads there?",)
    return (
        'write "routes": [{"dst": "0.0.0.0/0"}] into its ipam, or "isDefaultGateway"',
        f"ip {family}route add default via GATEWAY   # in {place.name}, for now",
    )


def wrong_mac(trail: Trail) -> Cause:
    """Return that a packet came in for another MAC than the link's."""
    seen = trail.came_in[-1]
    link = trail.place.link(seen.link)
    mac = f", which is {link.mac}" if link else ""
    text = f"it came in by {seen.link} for another MAC than its own{mac}"
    change = (
        f"ip neighbour show {seen.destination}   # at the sender, who has a wrong one",
        f"ip neighbour flush to {seen.destination}",
    )
    return Cause("wrong-neighbour", trail.place.name, text, change)


def not_routed(trail: Trail) -> Cause:
    """Return why the host has not routed what passed its prerouting."""
    place, ends, link = trail.place, trail.ends, _incoming(trail)
    if ends is None or link is None:
        return Cause("not-routed", place.name, "it was not routed")
    source, to = ends
    for name in (_FORWARDING[to.version], _OF_LINK[to.version].format(link.name)):
        if place.parameter(name) == "0" and not place.has(to):
            text = f"the host does not forward what {link.name} receives: {name} is 0"
            change = (f"sysctl -w {name}=1",)
            return Cause("not-forwarded", place.name, text, change)
    return _not_routed(place, source, to, link)


def _not_routed(place: Place, source: IPAddress, to: IPAddress, link: Link) -> Cause:
    if hop.is_filtered(place, source, link):
        return hop.reverse_path(place, source, link)
    route = place.route(to, source, iif=link.index)
    if route.error:
        return no_route(place, to, place.route(to) if place.route(to).error else route)
    text = f"it came in by {link.name} and was neither delivered nor forwarded"
    return Cause("not-routed", place.name, text)


def unsent_on(trail: Trail, others: Sequence[Place]) -> Cause | None:
    """Return why the host has not sent what it routed; `others` may have the target."""
    place, ends = trail.place, trail.ends
    told = [e for e in trail.events if e.destination is not None]
    to = told[-1].destination if told else (ends[1] if ends else None)
    if to is None:
        return None
    route = place.route(to)
    link = place.by_index(route.link)
    if route.error or link is None:
        return no_route(place, to, route)
    found = hop.of_link(place, link)
    return found or hop.unanswered(place, route, to, link, others)


def not_taken(trail: Trail, to: IPAddress) -> Cause:
    """Return why a place has not delivered to itself what came in."""
    place, link = trail.place, _incoming(trail)
    source, final = trail.arrived or (None, to)
    if not place.has(final):
        own = ", ".join(map(str, place.addresses())) or "none"
        text = f"it came in for {final}, which {place.name} has not; its own: {own}"
        change = ("ask for an address that it has; `cnipy show` tells",)
        return Cause("not-its-address", place.name, text, change)
    if source is not None and link is not None and hop.is_filtered(place, source, link):
        return hop.reverse_path(place, source, link)
    text = f"it came in and was not delivered to {final}"
    return Cause("not-taken", place.name, text)


def _incoming(trail: Trail) -> Link | None:
    """Return the link that routing saw a packet come in by, a bridge for its port."""
    told = [e.iif for e in trail.events if e.family != "bridge" and e.iif]
    if told:
        return trail.place.by_index(told[-1])
    link = trail.first_link
    if link is not None and link.master:
        return trail.place.by_index(link.master)
    return link
