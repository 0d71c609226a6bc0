# SPDX-License-Identifier: Apache-2.0
"""85: two networks that are apart, each with the outside and its published ports."""

import json

import pytest

from tests.examples.lab import Lab
from tests.runtimes import web
from tests.runtimes.sandbox.chain import Network

FILE = "85-isolated-networks.conflist"
PORT = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}


def two(lab: Lab) -> tuple[Network, Network]:
    """Return the network of the example, and a copy of it beside it."""
    one, other = lab.network(FILE), lab.network(FILE)
    text = json.dumps(other.conflist)
    for old, new in (("br-apart", "br-other"), ("10.95.", "10.96."), ("fd95", "fd96")):
        text = text.replace(old, new)
    other.conflist = json.loads(text)
    other.conflist["name"] = "other"
    return one, other


def test_networks_are_apart_and_neighbours_are_not(lab: Lab) -> None:
    """Neighbours talk, networks do not, either way, and the outside is reached."""
    one, other = two(lab)
    web.serve_source(lab.sandbox, "client")
    with (
        lab.attached(one, "c1") as first,
        lab.attached(one, "c2") as second,
        lab.attached(other, "c3") as third,
    ):
        near = [lab.page(f"http://{second.address}/", "c1")]
        far = [
            lab.refused(f"http://{third.address}/", "c1"),
            lab.refused(f"http://[{third.addresses[1]}]/", "c1"),
            lab.refused(f"http://{first.address}/", "c3"),
        ]
        out = [lab.page(f"http://{web.CLIENT}:8000/", name) for name in ("c1", "c3")]
    assert near == [web.PAGE]
    assert far == ["", "", ""]
    assert out == [web.HOST, web.HOST]
    assert lab.left(first, second, third) == []


@pytest.mark.parametrize("drops", [False, True])
def test_published_port_answers_where_forwarding_is_dropped(
    lab: Lab, *, drops: bool
) -> None:
    """A published port is open to the outside, on a host like Docker's too."""
    if drops:
        for command in ("iptables", "ip6tables"):
            lab.sandbox.run(command, "-P", "FORWARD", "DROP")
    network = lab.network(FILE)
    with lab.attached(network, "c1", portMappings=[PORT]) as attached:
        hosts = (web.HOST, f"[{web.HOST6}]")
        pages = [lab.page(f"http://{host}:8080/", "client") for host in hosts]
    assert pages == [web.PAGE, web.PAGE]
    assert lab.left(attached) == []
