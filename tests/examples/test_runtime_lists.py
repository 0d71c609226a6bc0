# SPDX-License-Identifier: Apache-2.0
"""The lists that runtimes start from keep what their rows in the README promise."""

import time
from copy import deepcopy

import pytest

from tests.examples.lab import Lab
from tests.runtimes import web
from tests.runtimes.sandbox.chain import Network

PODMAN = "20-podman.conflist"
NERDCTL = "21-nerdctl.conflist"
KUBERNETES = "12-kubernetes-bandwidth.conflist"
PORT = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
MEGABIT = 1_000_000  # bits
TRANSFER = 2 << 20  # bytes
LIMIT = {
    "ingressRate": 8 * MEGABIT,
    "ingressBurst": MEGABIT,
    "egressRate": 8 * MEGABIT,
    "egressBurst": MEGABIT,
}


def second_of(network: Network) -> Network:
    """Return a network like the first, with a bridge and a subnet of its own."""
    conflist = deepcopy(network.conflist)
    conflist["name"] = "second"
    bridge = conflist["plugins"][0]
    bridge["bridge"] = "second0"
    bridge["ipam"]["ranges"] = [[{"subnet": "10.97.0.0/24"}]]
    return Network(network.plugins, conflist)


@pytest.mark.parametrize(("name", "apart"), [(PODMAN, False), (NERDCTL, True)])
def test_networks_are_apart_where_the_list_says_so(
    lab: Lab, name: str, *, apart: bool
) -> None:
    """21: another network's container is not reached, in either direction; 20: it is.

    A port that it publishes is, in both.
    """
    network = lab.network(name)
    with (
        lab.attached(network, "c1") as first,
        lab.attached(second_of(network), "c2", portMappings=[PORT]) as second,
    ):
        there = lab.page(f"http://{second.address}/", "c1")
        back = lab.page(f"http://{first.address}/", "c2")
        published = lab.page(f"http://{web.HOST}:8080/", "c1")
    reached = "" if apart else web.PAGE
    assert (there, back, published) == (reached, reached, web.PAGE)


@pytest.mark.parametrize("name", [PODMAN, NERDCTL, KUBERNETES])
def test_host_that_drops_what_it_forwards_lets_containers_through(
    lab: Lab, name: str
) -> None:
    """12, 20, 21: a FORWARD policy of DROP, as Docker and ufw set it, stops nothing."""
    lab.sandbox.run("iptables", "-P", "FORWARD", "DROP")
    web.serve_source(lab.sandbox, "client")
    with lab.attached(lab.network(name), "c1", portMappings=[PORT]) as attached:
        outside = lab.page(f"http://{web.CLIENT}:8000/", "c1")
        published = lab.page(f"http://{web.HOST}:8080/", "client")
    assert (outside, published) == (web.HOST, web.PAGE)
    assert lab.left(attached) == []


@pytest.mark.parametrize(("netns", "server"), [(None, "c1"), ("c1", "client")])
def test_limited_pod_is_slow_in_both_directions(
    lab: Lab, netns: str | None, server: str
) -> None:
    """12: two MiB at 8 Mbit/s take more than a second, to the pod and from it.

    The first megabit is the burst; less time than the rest needs cannot be right.
    """
    network = lab.network(KUBERNETES)
    with lab.attached(network, "c1", bandwidth=LIMIT) as attached:
        path = lab.sandbox.path("/run/lab/www/large")
        path.write_bytes(bytes(TRANSFER))
        web.serve_page(lab.sandbox, "client", 8001)
        urls = {"c1": f"http://{attached.address}/", "client": "http://10.99.0.2:8001/"}
        # Towards the pod it is the answer of `client`; from the pod, that of `c1`.
        started = time.monotonic()
        page = web.fetch(lab.sandbox, f"{urls[server]}large", netns, seconds=30)
        elapsed = time.monotonic() - started
    least = (TRANSFER * 8 - LIMIT["ingressBurst"]) / LIMIT["ingressRate"]
    assert len(page) == TRANSFER
    assert elapsed > 0.9 * least
    assert lab.left(attached) == []


def test_pod_without_limits_is_not_slowed(lab: Lab) -> None:
    """12: without the capability's argument no queue and no ifb is made."""
    with lab.attached(lab.network(KUBERNETES), "c1"):
        ifbs = lab.sandbox.json("ip", "-j", "link", "show", "type", "ifb")
        queues = lab.sandbox.run("tc", "qdisc", "show").stdout
    assert ifbs == []
    assert "tbf" not in queues
