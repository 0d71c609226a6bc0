# SPDX-License-Identifier: Apache-2.0
"""Podman with the CNI backend drives the plugins: what its users can rely on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.runtimes import web
from tests.runtimes.podman import Podman
from tests.runtimes.sandbox import Sandbox, need_podman, remains
from tests.runtimes.sandbox.chain import Plugins
from tests.runtimes.sandbox.requirements import REPOSITORY

EXAMPLES = REPOSITORY / "conf-examples"
NETWORK = "podman"
BRIDGE = "cni-podman0"
LISTS = ("20-podman.conflist", "30-dual-stack.conflist")


@pytest.fixture(scope="module")
def podman(sandbox: Sandbox, plugins: Plugins) -> Podman:
    """Podman with its default network and a dual stack network of ours."""
    need_podman("runc")
    conflists = {name: (EXAMPLES / name).read_text() for name in LISTS}
    return Podman(sandbox, plugins, conflists)


@pytest.fixture(scope="module")
def container(podman: Podman) -> Iterator[str]:
    """A web server whose port 80 is published as 8080."""
    with podman.container("web", "--network", NETWORK, "-p", "8080:80"):
        yield "web"


@pytest.fixture
def neighbour(podman: Podman) -> Iterator[str]:
    """A second container in the same network."""
    with podman.container("neighbour", "--network", NETWORK):
        yield "neighbour"


def test_container_has_the_address_that_podman_reports(
    podman: Podman, container: str
) -> None:
    """The kernel's address on eth0 is the one in `podman inspect`."""
    link = podman.sandbox.json(
        "ip", "-j", "-4", "addr", "show", "eth0", netns=podman.netns(container)
    )
    actual = [address["local"] for address in link[0]["addr_info"]]
    assert actual == [podman.address(container, NETWORK)]


def test_host_reaches_the_container_address(podman: Podman, container: str) -> None:
    """A request from the host to the container's own address is answered."""
    url = f"http://{podman.address(container, NETWORK)}/"
    assert web.fetch(podman.sandbox, url) == web.PAGE


def test_host_reaches_the_port_by_its_address(podman: Podman, container: str) -> None:
    """The published port answers on the host's address."""
    assert container
    assert web.fetch(podman.sandbox, f"http://{web.HOST}:8080/") == web.PAGE


def test_host_reaches_the_port_by_loopback(podman: Podman, container: str) -> None:
    """The published port answers on 127.0.0.1."""
    assert container
    assert web.fetch(podman.sandbox, "http://127.0.0.1:8080/") == web.PAGE


def test_outside_reaches_the_port(podman: Podman, container: str) -> None:
    """The published port answers a client on another machine."""
    assert container
    url = f"http://{web.HOST}:8080/"
    assert web.fetch(podman.sandbox, url, netns="client") == web.PAGE


def test_neighbour_reaches_the_container_address(
    podman: Podman, container: str, neighbour: str
) -> None:
    """Two containers of a network reach each other."""
    url = f"http://{podman.address(container, NETWORK)}/"
    assert podman.fetch(neighbour, url) == web.PAGE


def test_neighbour_reaches_the_port_by_the_host_address(
    podman: Podman, container: str, neighbour: str
) -> None:
    """A container reaches the port that its neighbour publishes on the host."""
    assert container
    assert podman.fetch(neighbour, f"http://{web.HOST}:8080/") == web.PAGE


def test_container_reaches_its_own_port(podman: Podman, container: str) -> None:
    """A container reaches itself through the port it publishes (hairpin)."""
    assert podman.fetch(container, f"http://{web.HOST}:8080/") == web.PAGE


def test_container_leaves_with_the_host_address(podman: Podman, container: str) -> None:
    """Requests to the outside carry the host's address, not the container's."""
    web.serve_source(podman.sandbox, "client")
    actual = podman.fetch(container, f"http://{web.CLIENT}:8000/")
    podman.sandbox.stop("source-client-8000")
    assert actual == web.HOST


def test_port_bound_to_one_host_address_is_closed_on_others(podman: Podman) -> None:
    """`-p 10.99.0.1:8081:80` answers there and not on 127.0.0.1."""
    urls = (f"http://{web.HOST}:8081/", "http://127.0.0.1:8081/")
    with podman.container("bound", "--network", NETWORK, "-p", f"{web.HOST}:8081:80"):
        actual = [web.fetch(podman.sandbox, url) for url in urls]
    assert actual == [web.PAGE, ""]


def test_dual_stack_port_answers_over_ipv6(podman: Podman) -> None:
    """A port published in a dual stack network answers on the host's IPv6 address."""
    url = f"http://[{web.HOST6}]:8082/"
    with podman.container("six", "--network", "dual-stack", "-p", "8082:80"):
        actual = web.fetch(podman.sandbox, url, netns="client")
    assert actual == web.PAGE


def test_static_address_and_mac_are_used(podman: Podman) -> None:
    """`--ip` and `--mac-address` end up on the container's link."""
    options = ("--ip", "10.88.0.77", "--mac-address", "02:00:00:00:00:77")
    command = ("ip", "-j", "addr", "show", "eth0")
    with podman.container("static", "--network", NETWORK, *options):
        link = podman.sandbox.json(*command, netns=podman.netns("static"))[0]
    addresses = [a["local"] for a in link["addr_info"] if a["family"] == "inet"]
    assert (link["address"], addresses) == ("02:00:00:00:00:77", ["10.88.0.77"])


def test_two_networks_at_once(podman: Podman) -> None:
    """A container in two networks is reached by its address in each."""
    networks = (NETWORK, "dual-stack")
    with podman.container("two", "--network", ",".join(networks), "-p", "8083:80"):
        urls = [f"http://{podman.address('two', network)}/" for network in networks]
        urls.append(f"http://{web.HOST}:8083/")
        actual = [web.fetch(podman.sandbox, url) for url in urls]
    assert actual == [web.PAGE] * 3


def test_reload_restores_flushed_rules(podman: Podman, container: str) -> None:
    """After `nft flush ruleset`, `podman network reload` opens the port again."""
    url = f"http://{web.HOST}:8080/"
    podman.sandbox.run("nft", "flush", "ruleset")
    podman("network", "reload", container)
    assert web.fetch(podman.sandbox, url, netns="client") == web.PAGE


def test_start_after_stop_opens_the_port_again(podman: Podman) -> None:
    """A stopped container's port is closed, a started one's answers."""
    url = f"http://{web.HOST}:8084/"
    with podman.container("again", "--network", NETWORK, "-p", "8084:80"):
        podman("stop", "-t", "0", "again")
        stopped = web.fetch(podman.sandbox, url)
        podman("start", "again")
        podman.wait_until_serving("again")
        started = web.fetch(podman.sandbox, url)
    assert (stopped, started) == ("", web.PAGE)


def test_eight_containers_start_at_once(podman: Podman) -> None:
    """Eight parallel `podman run` give eight addresses and eight open ports."""
    ports = {f"many{number}": 9000 + number for number in range(8)}

    def run(name: str) -> str:
        podman.run(name, "--network", NETWORK, "-p", f"{ports[name]}:80")
        return podman.address(name, NETWORK)

    try:
        with ThreadPoolExecutor(len(ports)) as pool:
            addresses = set(pool.map(run, ports))
        urls = [f"http://{web.HOST}:{port}/" for port in ports.values()]
        pages = [web.fetch(podman.sandbox, url) for url in urls]
    finally:
        podman.remove(*ports)
    assert (len(addresses), pages) == (8, [web.PAGE] * 8)


def test_remove_leaves_nothing(podman: Podman) -> None:
    """After `podman rm` its link, lease, rules, records and namespace are gone."""
    before = remains.everything(podman.sandbox)
    with podman.container("gone", "--network", NETWORK, "-p", "8085:80") as identity:
        words = (identity, podman.address("gone", NETWORK), "8085")
        held = remains.everything(podman.sandbox, *words)
    after = remains.everything(podman.sandbox, *words)
    assert len(held) > len(before)
    assert after == before
