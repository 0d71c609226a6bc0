# SPDX-License-Identifier: Apache-2.0
"""sbr beside the reference's: the same sources go the same ways."""

from typing import Any

import pytest

from tests.differential.cases import CONTAINER, DEFAULT, V4, V6, Case, bridge, ipam
from tests.differential.pair import Pair, Side
from tests.differential.state import ROUTE_KEYS, comparable, picked

ROUTES = [
    DEFAULT,
    {"dst": "192.0.2.0/24"},
    {"dst": "198.51.100.0/24", "gw": "10.77.0.9"},
]
CASES = [
    Case(name, [bridge(ipam=section), {"type": "sbr"}], version=version)
    for name, section, version in (
        ("IPv4", ipam(V4, routes=ROUTES), "1.0.0"),
        ("IPv4 without routes", ipam(V4), "0.4.0"),
        ("IPv6", ipam(V6), "1.0.0"),
        ("dual stack", ipam(V4, V6, routes=ROUTES), "0.3.1"),
        ("two gateways", ipam(V4, [{"subnet": "10.78.0.0/24"}]), "1.0.0"),
    )
]


def ways(side: Side) -> dict[str, Any]:
    """Return for each source the routes of its table, and those of the main one.

    The number of the table, its mark and link-local routes differ by design, and so
    does who shares a table: each source sees those of its own family.
    """
    sandbox, found = side.sandbox, {}
    for family in ("-4", "-6"):
        shown = sandbox.json(
            *("ip", "-j", family, "route", "show", "table", "all"), netns=CONTAINER
        )
        by_table: dict[str, list[Any]] = {}
        for route in shown:
            if not route["dst"].startswith(("fe80", "ff00", "multicast")):
                picks = picked(route, ROUTE_KEYS)
                by_table.setdefault(picks.pop("table", "main"), []).append(picks)
        found[f"main {family}"] = by_table.get("main", [])
        for rule in sandbox.json("ip", "-j", family, "rule", netns=CONTAINER):
            if rule["src"] != "all":
                found[rule["src"]] = sorted(by_table[rule["table"]], key=str)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_ways(pair: Pair, case: Case) -> None:
    """The same rules, routes and results; the main table is as empty."""
    attached = pair.attach(case)
    reference, ours = attached.both(ways)
    assert ours == reference
    reference, ours = attached.both(lambda side: comparable(side.result))
    assert ours == reference
