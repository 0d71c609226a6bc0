# SPDX-License-Identifier: Apache-2.0
"""What can be reached with the reference can be reached with ours."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.differential.cases import (
    CONTAINER,
    PORTMAP,
    PORTS,
    V4,
    V6,
    Case,
    bridge,
    ipam,
)
from tests.differential.pair import Attached, Side, machines
from tests.runtimes import web
from tests.runtimes.sandbox.machine import wait_for

BRIDGE = {"isDefaultGateway": True, "hairpinMode": True}
CASES = (
    Case("routed", [bridge(**BRIDGE)]),
    Case("masqueraded", [bridge(**BRIDGE, ipMasq=True)]),
    Case("no gateway", [bridge(), PORTMAP], capabilities={"portMappings": PORTS}),
    Case(
        "published",
        [bridge(**BRIDGE, ipMasq=True), PORTMAP],
        capabilities={"portMappings": PORTS},
    ),
    Case(
        "published without snat",
        [bridge(**BRIDGE, ipMasq=True), {**PORTMAP, "snat": False}],
        capabilities={"portMappings": PORTS},
    ),
    Case(
        "published dual stack",
        [bridge(**BRIDGE, ipMasq=True, ipam=ipam(V4, V6)), PORTMAP],
        capabilities={"portMappings": PORTS},
    ),
)


def usable(side: Side) -> bool:
    """Whether all addresses of the host have passed duplicate detection."""
    return "tentative" not in side.sandbox.run("ip", "addr", "show").stdout


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def attached(request: pytest.FixtureRequest) -> Iterator[Attached]:
    """Both machines with servers in the container and outside."""
    with machines() as pair:
        done = pair.attach(request.param)
        for side in (done.reference, done.ours):
            web.serve_page(side.sandbox, CONTAINER)
            web.serve_udp(side.sandbox, CONTAINER, 53)
            web.serve_source(side.sandbox, "client")
            # The reference returns while the bridge's IPv6 address is tentative.
            wait_for(partial(usable, side), "addresses of the bridge")
        yield done


# From where, and to which URL; {address} is the container's.
REQUESTS = (
    (None, "http://{address}/"),
    ("client", "http://{address}/"),
    (None, f"http://{web.HOST}:8080/"),
    (None, f"http://[{web.HOST6}]:8080/"),
    (None, "http://127.0.0.1:8080/"),
    ("client", f"http://{web.HOST}:8080/"),
    ("client", f"http://[{web.HOST6}]:8080/"),
    (CONTAINER, f"http://{web.HOST}:8080/"),
    (CONTAINER, f"http://{web.CLIENT}:8000/"),
    (CONTAINER, f"http://[{web.CLIENT6}]:8000/"),
)


@pytest.mark.parametrize(("netns", "url"), REQUESTS)
def test_request_is_answered_alike(
    attached: Attached, netns: str | None, url: str
) -> None:
    """The same page, source address or silence with both."""

    def look(side: Side) -> str:
        address = side.result["ips"][0]["address"].split("/")[0]
        there = url.format(address=address)
        return web.fetch(side.sandbox, there, netns, seconds=4)

    reference, ours = attached.both(look)
    assert ours == reference


@pytest.mark.parametrize("netns", [None, "client"])
def test_published_udp_port(attached: Attached, netns: str | None) -> None:
    """The published UDP port answers from the same places with both."""
    reference, ours = attached.both(
        lambda side: web.ask_udp(side.sandbox, web.HOST, 5300, netns)
    )
    assert ours == reference
