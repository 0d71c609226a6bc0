# SPDX-License-Identifier: Apache-2.0
"""Networks that Podman itself writes run on our plugins alone."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from plugins import REGISTER
from tests.runtimes import web
from tests.runtimes.podman import NETWORKS, Podman
from tests.runtimes.sandbox import Sandbox, need_podman, remains
from tests.runtimes.sandbox.chain import Plugins

PLAIN = ("--subnet", "10.78.0.0/24")
DUAL = ("--ipv6", "--subnet", "fd10:80::/64", "--subnet", "10.80.0.0/24")
MACVLAN = ("-d", "macvlan", "-o", "parent=eth0", "--subnet", "10.99.0.0/24")
KINDS = {
    "plain": PLAIN,
    "without names": ("--disable-dns", *PLAIN),
    "internal": ("--internal", *PLAIN),
    "isolated": ("-o", "isolate=true", *PLAIN),
    "mtu": ("-o", "mtu=1400", *PLAIN),
    "dual stack": DUAL,
    "macvlan": (*MACVLAN, "--ip-range", "10.99.0.128/25", "--gateway", "10.99.0.1"),
}


@pytest.fixture(scope="module")
def podman(sandbox: Sandbox, plugins: Plugins) -> Podman:
    """Podman without any list of ours: its default network is built in."""
    need_podman("runc", "dnsmasq")
    return Podman(sandbox, plugins, {})


@contextmanager
def created(podman: Podman, name: str, *options: str) -> Iterator[dict[str, Any]]:
    """Have Podman make a network for the time of a test; yield the list it wrote."""
    podman("network", "create", *options, name)
    path = podman.sandbox.path(f"{NETWORKS}/{name}.conflist")
    try:
        yield json.loads(path.read_text())
    finally:
        podman("network", "rm", "-f", "-t", "0", name)


def links(podman: Podman, netns: str | None = None) -> list[str]:
    """Return the names of the links, sorted."""
    shown = podman.sandbox.json("ip", "-j", "link", netns=netns)
    return sorted(link["ifname"] for link in shown)


def left(podman: Podman) -> list[str]:
    """Return what a machine without containers has and a fresh one has not."""
    sandbox = podman.sandbox
    running = sandbox.run("pgrep", "-l", "dnsmasq", check=False).stdout.splitlines()
    return [
        *(set(links(podman)) - {"lo", "eth0"}),
        *remains.leases(sandbox),
        *remains.attachments(sandbox),
        *remains.elements(sandbox),
        *remains.named_netns(sandbox),
        *running,
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_container_of_a_created_network_comes_and_goes(
    podman: Podman, kind: str
) -> None:
    """All that Podman writes into a list is ours; nothing is left of a container."""
    show = ("ip", "-j", "-4", "addr", "show", "eth0")
    with (
        created(podman, "made", *KINDS[kind]) as conflist,
        podman.container("one", "--network", "made"),
    ):
        address = podman.address("one", "made")
        shown = podman.sandbox.json(*show, netns=podman.netns("one"))[0]
        held = left(podman)
    types = {plugin["type"] for plugin in conflist["plugins"]}
    types |= {p["ipam"]["type"] for p in conflist["plugins"] if "ipam" in p}
    assert types <= set(REGISTER)
    assert [entry["local"] for entry in shown["addr_info"]] == [address]
    assert len(held) >= len(types)
    assert left(podman) == []


def test_default_network_is_built_in(podman: Podman) -> None:
    """Without `--network`, and without any list on disk, containers are attached."""
    with podman.container("one", "-p", "8080:80"):
        page = web.fetch(podman.sandbox, f"http://{web.HOST}:8080/", netns="client")
        bridge = [name for name in links(podman) if name.startswith("cni-podman")]
    assert page == web.PAGE
    # The bridge is the network's, and the network stays.
    assert left(podman) == bridge
    podman.sandbox.run("ip", "link", "delete", *bridge)


def test_published_port_of_a_created_network(podman: Podman) -> None:
    """The outside reaches the port, the neighbour the address, both the outside."""
    web.serve_source(podman.sandbox, "client")
    with (
        created(podman, "made", *PLAIN),
        podman.container("one", "--network", "made", "-p", "8080:80"),
        podman.container("two", "--network", "made"),
    ):
        address = podman.address("one", "made")
        url = f"http://{web.HOST}:8080/"
        pages = [
            web.fetch(podman.sandbox, url, netns="client"),
            podman.fetch("two", f"http://{address}/"),
            podman.fetch("two", url),
            podman.fetch("one", url),
        ]
        source = podman.fetch("two", f"http://{web.CLIENT}:8000/")
    podman.sandbox.stop("source-client-8000")
    assert (pages, source) == ([web.PAGE] * 4, web.HOST)
    assert left(podman) == []


def test_dual_stack_network(podman: Podman) -> None:
    """Addresses of both families, and the port answers by both."""
    hosts = (web.HOST, f"[{web.HOST6}]")
    with (
        created(podman, "made", *DUAL),
        podman.container("one", "--network", "made", "-p", "8080:80"),
    ):
        urls = [f"http://{host}:8080/" for host in hosts]
        pages = [web.fetch(podman.sandbox, url, netns="client") for url in urls]
    assert pages == [web.PAGE] * 2
    assert left(podman) == []


def test_internal_network_has_no_way_out(podman: Podman) -> None:
    """Neighbours talk; there is no default route, and no route to the outside."""
    with (
        created(podman, "made", *KINDS["internal"]),
        podman.container("one", "--network", "made"),
        podman.container("two", "--network", "made"),
    ):
        page = podman.fetch("two", f"http://{podman.address('one', 'made')}/")
        routes = podman.sandbox.json("ip", "-j", "route", netns=podman.netns("one"))
    assert page == web.PAGE
    assert [route["dst"] for route in routes] == ["10.78.0.0/24"]
    assert left(podman) == []


def test_isolated_networks_are_apart(podman: Podman) -> None:
    """`-o isolate=true` of two networks: neither reaches the other's containers."""
    isolate = ("-o", "isolate=true", "--subnet")
    with (
        created(podman, "first", *isolate, "10.78.0.0/24"),
        created(podman, "second", *isolate, "10.79.0.0/24"),
        podman.container("one", "--network", "first"),
        podman.container("two", "--network", "second"),
        podman.container("near", "--network", "first"),
    ):
        first = f"http://{podman.address('one', 'first')}/"
        second = f"http://{podman.address('two', 'second')}/"
        pages = [
            podman.fetch("one", second),
            podman.fetch("two", first),
            podman.fetch("near", first),
        ]
    assert pages == ["", "", web.PAGE]
    assert left(podman) == []


def test_macvlan_container_is_a_machine_on_the_uplink(podman: Podman) -> None:
    """The machine outside reaches it without any translation, and the other way."""
    web.serve_source(podman.sandbox, "client")
    with (
        created(podman, "made", *KINDS["macvlan"]),
        podman.container("one", "--network", "made"),
    ):
        address = podman.address("one", "made")
        page = web.fetch(podman.sandbox, f"http://{address}/", netns="client")
        source = podman.fetch("one", f"http://{web.CLIENT}:8000/")
    podman.sandbox.stop("source-client-8000")
    assert (page, source) == (web.PAGE, address)
    assert left(podman) == []


def test_connect_and_disconnect(podman: Podman) -> None:
    """A running container joins a network, is reached there, and leaves it."""
    with (
        created(podman, "first", *PLAIN),
        created(podman, "second", "--subnet", "10.79.0.0/24"),
        podman.container("mover", "--network", "first"),
    ):
        for _ in range(2):
            podman("network", "connect", "second", "mover")
            url = f"http://{podman.address('mover', 'second')}/"
            connected = web.fetch(podman.sandbox, url)
            podman("network", "disconnect", "second", "mover")
            names = links(podman, podman.netns("mover"))
            assert (connected, names) == (web.PAGE, ["eth0", "lo"])
    assert left(podman) == []


def test_reload_after_a_flush_restores_everything(podman: Podman) -> None:
    """After `nft flush ruleset` and `network reload --all` all is as it was."""
    web.serve_source(podman.sandbox, "client")
    isolate = ("-o", "isolate=true", "--subnet")
    with (
        created(podman, "first", *isolate, "10.78.0.0/24"),
        created(podman, "second", *isolate, "10.79.0.0/24"),
        podman.container("one", "--network", "first", "-p", "8080:80"),
        podman.container("two", "--network", "second"),
    ):
        addresses = [podman.address("one", "first"), podman.address("two", "second")]
        podman.sandbox.run("nft", "flush", "ruleset")
        podman("network", "reload", "--all")
        now = [podman.address("one", "first"), podman.address("two", "second")]
        published = web.fetch(podman.sandbox, f"http://{web.HOST}:8080/", "client")
        apart = podman.fetch("two", f"http://{addresses[0]}/")
        source = podman.fetch("one", f"http://{web.CLIENT}:8000/")
    podman.sandbox.stop("source-client-8000")
    assert (now, published, apart, source) == (addresses, web.PAGE, "", web.HOST)
    assert left(podman) == []


def test_stop_and_start(podman: Podman) -> None:
    """A stopped container holds nothing; a started one serves again."""
    url = f"http://{web.HOST}:8080/"
    with created(podman, "made", *PLAIN):
        with podman.container("one", "--network", "made", "-p", "8080:80"):
            podman("stop", "-t", "0", "one")
            stopped = web.fetch(podman.sandbox, url), left(podman)
            podman("start", "one")
            podman.wait_until_serving("one")
            started = web.fetch(podman.sandbox, url)
        bridge = [name for name in links(podman) if name.startswith("cni-podman")]
    assert (stopped, started) == (("", bridge), web.PAGE)
    assert left(podman) == []


def test_names_are_answered_in_a_created_network(podman: Podman) -> None:
    """Podman writes dnsname where the plugin is, and a neighbour finds the name."""
    with (
        created(podman, "made", *PLAIN) as conflist,
        podman.container("one", "--network", "made", "--network-alias", "other"),
        podman.container("two", "--network", "made"),
    ):
        pages = [podman.fetch("two", f"http://{name}/") for name in ("one", "other")]
    assert "dnsname" in [plugin["type"] for plugin in conflist["plugins"]]
    assert pages == [web.PAGE] * 2
    assert left(podman) == []


def test_eight_at_once_in_two_networks(podman: Podman) -> None:
    """Eight containers come at once and go at once, and nothing of them stays."""
    names = [f"many{number}" for number in range(8)]

    def run(number: int) -> tuple[str, str]:
        network, port = ("first", "second")[number % 2], 9000 + number
        podman.run(names[number], "--network", network, "-p", f"{port}:80")
        url = f"http://{web.HOST}:{port}/"
        address = podman.address(names[number], network)
        return address, web.fetch(podman.sandbox, url, netns="client")

    with (
        created(podman, "first", *PLAIN),
        created(podman, "second", "--subnet", "10.79.0.0/24"),
    ):
        try:
            with ThreadPoolExecutor(len(names)) as pool:
                answers = list(pool.map(run, range(len(names))))
        finally:
            with ThreadPoolExecutor(len(names)) as pool:
                list(pool.map(podman.remove, names))
    assert len({address for address, _ in answers}) == len(names)
    assert {page for _, page in answers} == {web.PAGE}
    assert left(podman) == []
