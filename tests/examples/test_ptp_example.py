# SPDX-License-Identifier: Apache-2.0
"""80: containers without a bridge, each alone on its link with the host."""

from tests.examples.lab import Lab
from tests.runtimes import web

NAME = "80-ptp.conflist"
PORT = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}


def test_containers_reach_each_other_and_the_outside(lab: Lab) -> None:
    """80: neighbours see each other's addresses, the outside sees the host's."""
    network = lab.network(NAME)
    web.serve_source(lab.sandbox, "client")
    with lab.attached(network, "c1") as first, lab.attached(network, "c2") as second:
        web.serve_source(lab.sandbox, "c2")
        hosts = (*second.addresses, web.CLIENT, web.CLIENT6)
        urls = [
            f"http://[{h}]:8000/" if ":" in h else f"http://{h}:8000/" for h in hosts
        ]
        seen = [lab.page(url, "c1") for url in urls]
        links = lab.sandbox.json("ip", "-j", "link", "show", "type", "bridge")
    assert seen == [*first.addresses, web.HOST, web.HOST6]
    assert links == []
    assert lab.left(first, second) == []


def test_two_networks_see_the_containers(lab: Lab) -> None:
    """80: what ipMasqExcept lists is reached with the container's own address."""
    network = lab.network(NAME)
    web.serve_source(lab.sandbox, "client")
    elsewhere = {"10.98.0.2": web.CLIENT, "fd98::2": web.CLIENT6}
    lengths = ("32", "128")
    for (address, via), length in zip(elsewhere.items(), lengths, strict=True):
        lab.sandbox.run(
            *("ip", "-n", "client", "addr", "add", f"{address}/{length}"),
            *("dev", "lo", "nodad") if ":" in address else ("dev", "lo"),
        )
        lab.sandbox.run("ip", "route", "replace", f"{address}/{length}", "via", via)
    backs = (("10.80.0.0/24", web.HOST), ("fd00:80::/64", web.HOST6))
    for subnet, via in backs:
        lab.sandbox.run("ip", "-n", "client", "route", "replace", subnet, "via", via)
    with lab.attached(network, "c1") as attached:
        seen = [
            lab.page(f"http://[{a}]:8000/" if ":" in a else f"http://{a}:8000/", "c1")
            for a in elsewhere
        ]
    assert seen == attached.addresses
    assert lab.left(attached) == []


def test_published_port_answers_everybody(lab: Lab) -> None:
    """80: outside, host and neighbour reach the port at the host's addresses."""
    network = lab.network(NAME)
    hosts = (web.HOST, f"[{web.HOST6}]")
    with (
        lab.attached(network, "c1", portMappings=[PORT]) as attached,
        lab.attached(network, "c2") as neighbour,
    ):
        pages = [
            lab.page(f"http://{host}:8080/", netns)
            for host in hosts
            for netns in ("client", None, "c2", "c1")
        ]
        pages.append(lab.page("http://127.0.0.1:8080/"))
    assert pages == [web.PAGE] * 9
    assert lab.left(attached, neighbour) == []
