# SPDX-License-Identifier: Apache-2.0
"""82: containers that are machines of the local network."""

from tests.examples.lab import Lab
from tests.runtimes import web

NAME = "82-macvlan.conflist"


def test_containers_are_on_the_local_network(lab: Lab) -> None:
    """82: neighbours and machines of the network see the container's own address."""
    sandbox = lab.sandbox
    sandbox.run("ip", "-n", "client", "addr", "add", "10.82.0.1/24", "dev", "eth0")
    web.serve_source(sandbox, "client")
    network = lab.network(NAME)
    with lab.attached(network, "c1") as first, lab.attached(network, "c2") as second:
        seen = lab.page("http://10.82.0.1:8000/", "c1")
        pages = [lab.page(f"http://{second.address}/", at) for at in ("c1", "client")]
    assert [first.address, second.address] == ["10.82.0.200", "10.82.0.201"]
    assert seen == first.address
    assert pages == [web.PAGE] * 2
    assert lab.left(first, second) == []


def test_host_and_container_do_not_see_each_other(lab: Lab) -> None:
    """82: what the host sends on the master does not turn round to a macvlan."""
    lab.sandbox.run("ip", "addr", "add", "10.82.0.2/24", "dev", "eth0")
    with lab.attached(lab.network(NAME), "c1") as attached:
        page = lab.refused(f"http://{attached.address}/")
    assert page == ""


def test_runtime_chooses_mac_and_address(lab: Lab) -> None:
    """82: the capabilities `mac` and `ips` reach link and lease."""
    given = {"mac": "02:00:00:00:00:82", "ips": ["10.82.0.210"]}
    with lab.attached(lab.network(NAME), "c1", **given) as attached:
        found = (attached.result["interfaces"][0]["mac"], attached.addresses)
    assert found == (given["mac"], given["ips"])
