# SPDX-License-Identifier: Apache-2.0
"""83-static-addresses: the addresses of its row, and those asked for instead."""

from tests.examples.lab import Lab
from tests.runtimes import web

NAME = "83-static-addresses.conflist"


def test_static_container_has_its_addresses_and_reaches_the_outside(lab: Lab) -> None:
    """Both addresses answer the host, and the outside sees the host's addresses."""
    web.serve_source(lab.sandbox, "client")
    with lab.attached(lab.network(NAME), "c1") as attached:
        pages = [lab.page(f"http://{a}/") for a in ("10.83.0.10", "[fd83::10]")]
        urls = (f"http://{web.CLIENT}:8000/", f"http://[{web.CLIENT6}]:8000/")
        sources = [lab.page(url, "c1") for url in urls]
    assert attached.addresses == ["10.83.0.10", "fd83::10"]
    assert pages == [web.PAGE, web.PAGE]
    assert sources == [web.HOST, web.HOST6]
    assert lab.left(attached) == []


def test_static_container_has_the_addresses_asked_for(lab: Lab) -> None:
    """The capability `ips` replaces the list, so that a second container fits in."""
    network = lab.network(NAME)
    with (
        lab.attached(network, "c1") as first,
        lab.attached(network, "c2", ips=["10.83.0.20/24"]) as second,
    ):
        page = lab.page(f"http://{first.address}/", "c2")
    assert second.addresses == ["10.83.0.20"]
    assert page == web.PAGE
