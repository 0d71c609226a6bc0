# SPDX-License-Identifier: Apache-2.0
"""90: a container that is a machine of a VLAN of the local network."""

import pytest

from tests.examples.lab import Lab
from tests.runtimes import web
from tests.runtimes.sandbox.chain import PluginError

pytestmark = pytest.mark.needs_kernel("802.1q")
NAME = "90-vlan.conflist"


def test_container_is_in_the_vlan(lab: Lab) -> None:
    """90: who is in VLAN 93 sees the container's own address, and has it alone."""
    inside = ("ip", "-n", "client")
    lab.sandbox.run(
        *(*inside, "link", "add", "link", "eth0", "name", "tagged", "up"),
        *("type", "vlan", "id", "93"),
    )
    lab.sandbox.run(*inside, "addr", "add", "10.93.0.1/24", "dev", "tagged")
    web.serve_source(lab.sandbox, "client")
    network = lab.network(NAME)
    with lab.attached(network, "c1") as attached:
        seen = lab.page("http://10.93.0.1:8000/", "c1")
        with pytest.raises(PluginError, match="c1"), lab.attached(network, "c2"):
            pass
    assert seen == attached.address == "10.93.0.200"
    assert lab.left(attached) == ["c2"]
