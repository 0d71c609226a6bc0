# SPDX-License-Identifier: Apache-2.0
"""From what is there to what is wanted, in an order in which no packet is lost.

What leads somewhere is there before what leads to it, and goes after it; what is to
lead elsewhere is replaced, not deleted and added.
"""

from __future__ import annotations

from cni_common.kernel import addresses, fdb, neighbours, nexthops
from cni_common.kernel import protocol_routes as routes
from cni_common.kernel.protocol_routes import ProtocolRoute
from cni_common.spec.values import NamedTuple
from cnipy.net.dataplane import words
from cnipy.net.dataplane.present import FIRST_ID, LAST_ID, PROTOCOL, OnDevice, Present

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.nexthops import Nexthop
    from cni_common.spec.fields import IPNetwork
    from cnipy.net.dataplane.desired import Desired, Route

ADD, REPLACE, DELETE = "add", "replace", "delete"


class Step(NamedTuple):
    """A change: its request, what it does (`verb`), and to what.

    `made` is the number of a nexthop that it makes, `needs` of one that it needs.
    """

    request: tuple[Any, int, int]
    verb: str
    what: str
    made: int = 0
    needs: int = 0
    dst: IPNetwork | None = None


def steps(desired: Desired, present: Present, link: Link | None) -> list[Step]:
    """Return what is to be done, in order; `link` is the network's device.

    Without one there is nothing on it.
    """
    ids = _numbers(desired, present)
    found: list[Step] = []
    if link is not None:
        found += _device_before(desired, present, link)
    found += _nexthops_before(desired, present, ids)
    found += _routes(desired, present, ids)
    found += _nexthops_after(desired, present)
    if link is not None:
        found += _device_after(desired, present, link)
    return found


def afterwards(desired: Desired, present: Present) -> Present:
    """Return what there is once all steps are done."""
    ids = _numbers(desired, present)
    on_device = desired.addresses, desired.entries, desired.neighbours, desired.peers
    return Present(
        device=OnDevice(*on_device),
        routes=desired.routes,
        strange=[],
        ids={nexthop: ids[nexthop] for nexthop in desired.nexthops},
        doubles=[],
        used=present.used.union(ids.values()),
    )


def _device_before(desired: Desired, present: Present, link: Link) -> Iterator[Step]:
    """Yield what is added to the device, or replaced on it."""
    for address in sorted(desired.addresses - present.device.addresses, key=str):
        request = addresses.replacement(link, address)
        yield Step(request, ADD, words.address(address, link.name))
    for mac, host in desired.entries.items():
        if present.device.entries.get(mac) != host:
            verb = REPLACE if mac in present.device.entries else ADD
            request = fdb.replacement(link.index, mac, host)
            yield Step(request, verb, words.entry(mac, host, link.name))
    for gateway, mac in desired.neighbours.items():
        if present.device.neighbours.get(gateway) != mac:
            verb = REPLACE if gateway in present.device.neighbours else ADD
            request = neighbours.replacement(link.index, gateway, mac)
            yield Step(request, verb, words.neighbour(gateway, mac, link.name))


def _numbers(desired: Desired, present: Present) -> dict[Nexthop, int]:
    """Return the numbers of all nexthops: what they have, or else free ones."""
    ids = dict(present.ids)
    free = (n for n in range(FIRST_ID, LAST_ID + 1) if n not in present.used)
    for nexthop in desired.nexthops:
        if nexthop not in ids:
            ids[nexthop] = next(free)
    return ids


def _nexthops_before(
    desired: Desired, present: Present, ids: dict[Nexthop, int]
) -> Iterator[Step]:
    """Yield the nexthops that are missing."""
    for nexthop in desired.nexthops:
        if nexthop not in present.ids:
            nhid = ids[nexthop]
            request = nexthops.addition(nhid, nexthop, PROTOCOL)
            yield Step(request, ADD, words.nexthop(nhid, nexthop), made=nhid)


def _routes(
    desired: Desired, present: Present, ids: dict[Nexthop, int]
) -> Iterator[Step]:
    """Yield the routes that are missing, that differ, and those that are too many."""
    strange = {(each.dst, each.metric) for each in present.strange}
    for (dst, metric), route in desired.routes.items():
        there = present.routes.get((dst, metric))
        if there == route:
            continue
        wanted = _route(dst, metric, route, ids)
        is_there = there is not None or (dst, metric) in strange
        change = routes.replacement if is_there else routes.addition
        yield Step(
            change(wanted, PROTOCOL),
            REPLACE if is_there else ADD,
            words.route(dst, route, desired.nodes.get(dst, "")),
            needs=wanted.nhid,
            dst=dst,
        )
    surplus = [
        _route(dst, metric, route, ids)
        for (dst, metric), route in present.routes.items()
        if (dst, metric) not in desired.routes
    ]
    surplus += [
        each
        for each in present.strange
        if (each.dst, each.metric) not in desired.routes
    ]
    for each in surplus:
        yield Step(routes.deletion(each, PROTOCOL), DELETE, f"route {each.dst}")


def _route(
    dst: IPNetwork, metric: int, route: Route, ids: dict[Nexthop, int]
) -> ProtocolRoute:
    nhid = ids[route.nexthop] if route.nexthop else 0
    return ProtocolRoute(dst, nhid, metric, route.source)


def _nexthops_after(desired: Desired, present: Present) -> Iterator[Step]:
    """Yield our nexthops by which no route leads any more, of whatever network."""
    wanted = desired.nexthops
    surplus = [nhid for nexthop, nhid in present.ids.items() if nexthop not in wanted]
    for nhid in sorted(surplus + present.doubles):
        yield Step(nexthops.deletion(nhid), DELETE, f"nexthop {nhid}")


def _device_after(desired: Desired, present: Present, link: Link) -> Iterator[Step]:
    """Yield what is too much on the device."""
    for gateway in present.device.neighbours.keys() - desired.neighbours.keys():
        request = neighbours.deletion(link.index, gateway)
        yield Step(request, DELETE, f"neighbour {gateway} dev {link.name}")
    for mac in present.device.entries.keys() - desired.entries.keys():
        request = fdb.deletion(link.index, mac)
        yield Step(request, DELETE, f"fdb {mac} dev {link.name}")
    for address in present.device.addresses - desired.addresses:
        request = addresses.deletion(link, address)
        yield Step(request, DELETE, f"address {address} dev {link.name}")
