# SPDX-License-Identifier: Apache-2.0
"""ptp beside the reference's: result, addresses, routes, leases, traffic, switching."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.differential import state
from tests.differential.cases import (
    CONTAINER,
    DEFAULT,
    PORTMAP,
    PORTS,
    V4,
    V6,
    Case,
    ipam,
)
from tests.differential.pair import Attached, Side, attach, machines
from tests.runtimes import web
from tests.runtimes.sandbox import Sandbox, need, remains
from tests.runtimes.sandbox.chain import Network, Plugins
from tests.runtimes.sandbox.machine import wait_for
from tests.runtimes.sandbox.requirements import (
    REFERENCE,
    plugin_directory,
    reference_directory,
    unmet,
)

Document = dict[str, Any]
BOTH = [DEFAULT, {"dst": "::/0"}]


def ptp(**keys: Any) -> Document:
    """Return a ptp configuration; an IPv4 range unless `ipam` is given."""
    return {"type": "ptp", "ipam": ipam(V4, routes=[DEFAULT]), **keys}


CASES = [
    *(
        Case(f"version {version}", [ptp()], version=version)
        for version in ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0")
    ),
    Case("dual stack", [ptp(ipam=ipam(V4, V6, routes=BOTH))]),
    Case("IPv6 only", [ptp(ipam=ipam(V6, routes=BOTH[1:]))]),
    Case("two subnets", [ptp(ipam=ipam(V4, [{"subnet": "10.78.0.0/24"}]))]),
    Case("mtu", [ptp(mtu=1400)]),
    Case("dns", [ptp(dns={"nameservers": ["192.0.2.53"]})]),
    Case(
        "gateway elsewhere",
        [ptp(ipam=ipam([{**V4[0], "gateway": "10.77.0.254"}], routes=[DEFAULT]))],
    ),
    Case("masqueraded", [ptp(ipMasq=True, ipam=ipam(V4, V6, routes=BOTH))]),
    Case(
        "published",
        [ptp(ipMasq=True, ipam=ipam(V4, V6, routes=BOTH)), PORTMAP],
        capabilities={"portMappings": PORTS},
    ),
]


@pytest.fixture(scope="module", autouse=True)
def reference_has_ptp() -> None:
    """The reference is installed with its ptp."""
    if not (REFERENCE / "ptp").is_file():
        unmet(f"{REFERENCE} has no ptp: containernetworking-plugins")


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def attached(request: pytest.FixtureRequest) -> Iterator[Attached]:
    """Both machines after the ADD of each case in turn."""
    with machines() as pair:
        yield pair.attach(request.param)


def test_result_is_the_same(attached: Attached) -> None:
    """Both print the same result, MACs and host veth names apart."""
    reference, ours = attached.both(lambda side: state.comparable(side.result))
    assert ours == reference


def test_container_looks_the_same(attached: Attached) -> None:
    """Link, addresses and routes in the container; sysctls are ours, as of bridge."""

    def look(side: Side) -> Document:
        shown = state.container(side.sandbox, "eth0")
        return {key: value for key, value in shown.items() if key != "sysctls"}

    reference, ours = attached.both(look)
    assert ours == reference


def test_host_looks_the_same(attached: Attached) -> None:
    """Addresses of the host's end, routes to the container, forwarding.

    The reference leaves the source to the kernel, writes `scope host`, and has the
    kernel's own route to the gateway in IPv6, which leads to the host itself.
    """

    def look(side: Side) -> Document:
        shown = side.sandbox.json("ip", "-j", "addr", "show")
        (name,) = (i["ifname"] for i in shown if state.VETH.match(i["ifname"]))
        found: list[str] = []
        for family in ("-4", "-6"):
            routes = side.sandbox.json("ip", "-j", family, "route", "show", "dev", name)
            found += [r["dst"] for r in routes if r.get("protocol") != "kernel"]
        forwarded = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
        return {
            "addresses": state.addresses(side.sandbox, name),
            "routes": sorted(found),
            "forwarding": [state.sysctl(side.sandbox, key) for key in forwarded],
            "accept_ra": state.sysctl(side.sandbox, f"net.ipv6.conf.{name}.accept_ra"),
        }

    reference, ours = attached.both(look)
    assert ours == reference


def test_leases_are_the_same(attached: Attached) -> None:
    """host-local's files have the same names and the same bytes."""
    reference, ours = attached.both(lambda side: state.leases(side.sandbox))
    assert ours == reference


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


@pytest.fixture(scope="module")
def serving() -> Iterator[Attached]:
    """Both machines after the last case, with servers in the container and outside."""
    with machines() as pair:
        done = pair.attach(CASES[-1])
        for side in (done.reference, done.ours):
            web.serve_page(side.sandbox, CONTAINER)
            web.serve_source(side.sandbox, "client")
            # The reference returns while the host's IPv6 address is tentative.
            wait_for(partial(usable, side), "addresses of the host's end")
        yield done


def usable(side: Side) -> bool:
    """Whether all addresses of the host have passed duplicate detection."""
    return "tentative" not in side.sandbox.run("ip", "addr", "show").stdout


@pytest.mark.parametrize(("netns", "url"), REQUESTS)
def test_request_is_answered_alike(
    serving: Attached, netns: str | None, url: str
) -> None:
    """The same page, source address or silence with both."""

    def look(side: Side) -> str:
        address = side.result["ips"][0]["address"].split("/")[0]
        there = url.format(address=address)
        return web.fetch(side.sandbox, there, netns, seconds=4)

    reference, ours = serving.both(look)
    assert ours == reference


def test_we_detach_what_the_reference_attached() -> None:
    """DEL of ours removes link, lease, DNAT and masquerade rules of the reference."""
    need("unshare", "nsenter", "ip", "nft", "curl", "busybox", "ss")
    with Sandbox() as sandbox:
        theirs = Plugins(sandbox, reference_directory(), inside="/run/lab/reference")
        ours = Plugins(sandbox, plugin_directory(), inside="/run/lab/ours")
        side = attach(theirs, CASES[-1])
        network = Network(ours, CASES[-1].conflist)
        network.results.update(side.network.results)
        network.delete(side.at)
        words = (CONTAINER, "10.77.0.2", "8080", "5300")
        assert remains.everything(sandbox, *words) == [CONTAINER]
