# SPDX-License-Identifier: Apache-2.0
"""One container as a node has them, on every kernel: a chain and a second network."""

import pytest

from tests.examples.lab import Lab
from tests.runtimes import web

PORT = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
LIMITS = {"ingressRate": 10**9, "ingressBurst": 10**9}


@pytest.mark.every_kernel
def test_chain_and_macvlan_beside_the_hosts_eth0(lab: Lab) -> None:
    """bridge, portmap, firewall and bandwidth, then macvlan on the host's own eth0.

    The host has a link of the container's name throughout.
    """
    web.serve_source(lab.sandbox, "client")
    first = lab.network("12-kubernetes-bandwidth.conflist")
    kinds = [plugin["type"] for plugin in first.conflist["plugins"]]
    assert kinds == ["bridge", "portmap", "firewall", "bandwidth"]
    second = lab.network("82-macvlan.conflist")
    assert second.conflist["plugins"][0]["master"] == "eth0"
    del second.conflist["plugins"][0]["ipam"]["routes"]  # the chain has the default one
    with (
        lab.attached(first, "c1", portMappings=[PORT], bandwidth=LIMITS) as chained,
        lab.attached(second, "c1", ifname="eth1") as direct,
        lab.attached(second, "c2") as other,
    ):
        published = [
            lab.page(f"http://{host}:8080/", "client")
            for host in (web.HOST, f"[{web.HOST6}]")
        ]
        masqueraded = lab.page(f"http://{web.CLIENT}:8000/", "c1")
        neighbour = lab.page(f"http://{other.address}/", "c1")
        show = ("ip", "-j", "-d", "-n", "c1", "link", "show")
        kinds = [
            link.get("linkinfo", {}).get("info_kind")
            for link in lab.sandbox.json(*show)
            if link["ifname"] != "lo"
        ]
    assert published == [web.PAGE, web.PAGE]
    assert masqueraded == web.HOST
    assert neighbour == web.PAGE
    assert kinds == ["veth", "macvlan"]
    assert lab.left(chained, direct, other) == []
