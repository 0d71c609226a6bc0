# SPDX-License-Identifier: Apache-2.0
"""93: a second uplink, by which leaves what is sent from its addresses."""

from tests.examples.lab import Lab
from tests.runtimes import web

EXAMPLE = "93-sbr.conflist"
FIRST = "30-dual-stack.conflist"


def test_each_address_has_its_uplink(lab: Lab) -> None:
    """93: the outside is reached from either address, each by its own interface."""
    first, second = lab.network(FIRST), lab.network(EXAMPLE)
    web.serve_source(lab.sandbox, "client")
    with (
        lab.attached(first, "c1") as one,
        lab.attached(second, "c1", ifname="eth1") as two,
    ):
        used = {}
        for address in (*one.addresses, *two.addresses):
            outside = web.CLIENT6 if ":" in address else web.CLIENT
            words = ("ip", "-j", "route", "get", outside, "from", address)
            (route,) = lab.sandbox.json(*words, netns="c1")
            used[address] = route["dev"]
        seen = lab.page(f"http://{web.CLIENT}:8000/", "c1")
    assert used == dict.fromkeys(one.addresses, "eth0") | dict.fromkeys(
        two.addresses, "eth1"
    )
    assert seen == web.HOST
    assert lab.left(one, two) == []
