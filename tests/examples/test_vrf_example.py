# SPDX-License-Identifier: Apache-2.0
"""94: a second network with a default route of its own, for who binds to it."""

import pytest

from tests.examples.lab import Lab
from tests.runtimes import web

pytestmark = pytest.mark.needs_kernel("vrf")


def test_each_network_has_its_way_out(lab: Lab) -> None:
    """94: the outside is reached by eth0, and by eth1 from a socket in the VRF."""
    first = lab.network("30-dual-stack.conflist")
    second = lab.network("94-vrf.conflist")
    web.serve_source(lab.sandbox, "client")
    url = f"http://{web.CLIENT}:8000/"
    with (
        lab.attached(first, "c1") as one,
        lab.attached(second, "c1", ifname="eth1") as two,
    ):
        routes = {
            words: lab.sandbox.json("ip", "-j", "route", *words, netns="c1")[0]["dev"]
            for words in (("get", web.CLIENT), ("get", web.CLIENT, "vrf", "blue"))
        }
        bound = ("curl", "-s", "--max-time", "20", "--interface", "blue", url)
        pages = [
            lab.page(url, "c1"),
            lab.sandbox.run(*bound, netns="c1", check=False).stdout,
        ]
    assert list(routes.values()) == ["eth0", "eth1"]
    assert pages == [web.HOST] * 2
    assert lab.left(one, two) == []
