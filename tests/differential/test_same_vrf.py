# SPDX-License-Identifier: Apache-2.0
"""vrf beside the reference's: the same VRF, with what that moves into it at least."""

from typing import Any

import pytest

from tests.differential.cases import CONTAINER, DEFAULT, V4, V6, Case, bridge, ipam
from tests.differential.pair import Pair, Side, attach
from tests.differential.state import ROUTE_KEYS, addresses, comparable, picked
from tests.runtimes.sandbox.chain import Network, Plugins
from tests.runtimes.sandbox.requirements import reference_directory

pytestmark = pytest.mark.needs_kernel("vrf")
ROUTES = [DEFAULT, {"dst": "192.0.2.0/24"}]
CASES = [
    Case(name, [bridge(ipam=section), {"type": "vrf", **keys}], version=version)
    for name, section, keys, version in (
        ("IPv4", ipam(V4, routes=ROUTES), {"vrfname": "blue"}, "1.0.0"),
        ("dual stack", ipam(V4, V6), {"vrfname": "blue"}, "0.3.1"),
        ("a table", ipam(V6), {"vrfname": "blue", "table": 77}, "0.4.0"),
    )
]


def vrf(side: Side) -> dict[str, Any]:
    """Return VRF, interface and addresses."""
    words = ("ip", "-j", "-d", "link", "show")
    links = {x["ifname"]: x for x in side.sandbox.json(*words, netns=CONTAINER)}
    return {
        "table": links["blue"]["linkinfo"]["info_data"]["table"],
        "is up": "UP" in links["blue"]["flags"],
        "master": links["eth0"]["master"],
        "addresses": addresses(side.sandbox, "eth0", CONTAINER),
    }


def routes(side: Side) -> list[str]:
    """Return the VRF's routes, those of links and local addresses apart."""
    shown = [
        route
        for family in ("-4", "-6")
        for route in side.sandbox.json(
            *("ip", "-j", family, "route", "show", "vrf", "blue"), netns=CONTAINER
        )
        if not route["dst"].startswith(("fe80", "ff00", "multicast"))
        and route.get("type", "unicast") == "unicast"
    ]
    keys = set(ROUTE_KEYS) - {"table"}
    return sorted(str(picked(route, tuple(sorted(keys)))) for route in shown)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(CASES[0], id=CASES[0].name),
        pytest.param(CASES[1], id=CASES[1].name, marks=pytest.mark.thorough),
        pytest.param(CASES[2], id=CASES[2].name),
    ],
)
def test_same_vrf(pair: Pair, case: Case) -> None:
    """Table, interface, addresses and result are the same.

    Routes by a gateway the reference 1.1.1 loses.
    """
    attached = pair.attach(case)
    reference, ours = attached.both(vrf)
    assert ours == reference
    reference, ours = attached.both(lambda side: comparable(side.result))
    assert ours == reference
    lost, kept = attached.both(routes)
    assert [route for route in kept if "gateway" not in route] == lost
    wanted = case.plugins[0]["ipam"].get("routes", [])
    assert len(kept) == len(lost) + len(wanted)


@pytest.mark.parametrize("first", ["reference", "ours"])
def test_one_detaches_what_the_other_attached(pair: Pair, first: str) -> None:
    """DEL of either leaves no VRF of the other's ADD, and no lease."""
    ours, directory = pair.ours, reference_directory()
    theirs = Plugins(ours.sandbox, directory, inside="/run/lab/reference")
    one, other = (theirs, ours) if first == "reference" else (ours, theirs)
    side = attach(one, CASES[1])
    network = Network(other, CASES[1].conflist)
    network.results.update(side.network.results)
    network.delete(side.at)
    links = ours.sandbox.json("ip", "-j", "link", netns=CONTAINER)
    assert [link["ifname"] for link in links] == ["lo"]
