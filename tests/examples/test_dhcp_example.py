# SPDX-License-Identifier: Apache-2.0
"""88: machines of the local network with addresses of its DHCP server."""

import pytest

from tests.examples.lab import Lab
from tests.examples.surroundings import LEASES, serve_leases
from tests.runtimes import web
from tests.runtimes.sandbox.machine import wait_for

NAME = "88-dhcp.conflist"


@pytest.fixture
def network(lab: Lab) -> Lab:
    """A machine whose network has a server, and a keeper of leases."""
    serve_leases(lab)
    return lab


def test_containers_get_leases_and_give_them_back(network: Lab) -> None:
    """88: each has an address of the server's, by which its network sees it."""
    web.serve_source(network.sandbox, "client")
    leases = network.sandbox.path(LEASES)
    conf = network.network(NAME)
    with network.attached(conf, "c1") as first, network.attached(conf, "c2") as second:
        seen = network.page("http://10.88.0.1:8000/", "c1")
        held = {line.split()[2] for line in leases.read_text().splitlines()}
    assert seen == first.address
    assert held == {first.address, second.address}
    wait_for(lambda: not leases.read_text(), "release")
    assert network.left(first, second) == []
