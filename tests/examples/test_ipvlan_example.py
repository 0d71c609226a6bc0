# SPDX-License-Identifier: Apache-2.0
"""91: containers that are machines of the local network, all with the host's MAC."""

import pytest

from tests.examples.lab import Lab
from tests.runtimes import web

pytestmark = pytest.mark.needs_kernel("ipvlan")


def test_containers_are_on_the_local_network(lab: Lab) -> None:
    """91: the network sees each container's address, and one MAC."""
    sandbox = lab.sandbox
    sandbox.run("ip", "-n", "client", "addr", "add", "10.90.0.1/24", "dev", "eth0")
    web.serve_source(sandbox, "client")
    network = lab.network("91-ipvlan.conflist")
    with lab.attached(network, "c1") as first, lab.attached(network, "c2") as second:
        seen = [lab.page("http://10.90.0.1:8000/", at) for at in ("c1", "c2")]
        known = sandbox.json("ip", "-j", "-n", "client", "neigh", "show", "dev", "eth0")
        (host,) = sandbox.json("ip", "-j", "link", "show", "eth0")
    assert seen == [first.address, second.address] == ["10.90.0.200", "10.90.0.201"]
    macs = {each["lladdr"] for each in known if each["dst"] in seen}
    assert macs == {host["address"]}
    assert lab.left(first, second) == []
