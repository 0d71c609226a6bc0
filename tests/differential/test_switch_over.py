# SPDX-License-Identifier: Apache-2.0
"""A node changes its binaries with containers running, in either direction."""

from collections.abc import Iterator

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
    bridge,
    ipam,
)
from tests.differential.pair import attach
from tests.runtimes import web
from tests.runtimes.sandbox import Sandbox, need, remains
from tests.runtimes.sandbox.chain import Attachment, Network, Plugins
from tests.runtimes.sandbox.requirements import plugin_directory, reference_directory

POOL = ipam(V4, V6, routes=[DEFAULT])
CASE = Case(
    "published",
    [bridge(isDefaultGateway=True, ipMasq=True, hairpinMode=True), PORTMAP],
    capabilities={"portMappings": PORTS},
)
WORDS = (CONTAINER, "10.77.0.2", "8080", "5300")


@pytest.fixture
def machine() -> Iterator[tuple[Plugins, Plugins]]:
    """Reference and ours in two directories of one fresh machine."""
    need("unshare", "nsenter", "ip", "nft", "curl", "busybox", "ss")
    with Sandbox() as sandbox:
        yield (
            Plugins(sandbox, reference_directory(), inside="/run/lab/reference"),
            Plugins(sandbox, plugin_directory(), inside="/run/lab/ours"),
        )


def leased(plugins: Plugins, container: str) -> list[str]:
    """Let host-local of a directory lease addresses; return them."""
    document = {"cniVersion": "1.0.0", "name": "lab", "type": "bridge", "ipam": POOL}
    at = Attachment(container, "/run/netns/none")
    answer = plugins.call("ADD", document, at, "host-local")
    assert answer.status == 0, answer
    return [ip["address"] for ip in answer.document["ips"]]


def release(plugins: Plugins, container: str) -> None:
    """Let host-local of a directory release what the container holds."""
    document = {"cniVersion": "1.0.0", "name": "lab", "type": "bridge", "ipam": POOL}
    answer = plugins.call("DEL", document, Attachment(container, ""), "host-local")
    assert answer.status == 0, answer


def test_reference_releases_our_leases(machine: tuple[Plugins, Plugins]) -> None:
    """host-local of the reference frees what ours has leased."""
    reference, ours = machine
    leased(ours, "a1")
    release(reference, "a1")
    assert remains.leases(ours.sandbox) == []


def test_we_release_the_leases_of_the_reference(
    machine: tuple[Plugins, Plugins],
) -> None:
    """Our host-local frees what the reference has leased."""
    reference, ours = machine
    leased(reference, "b1")
    release(ours, "b1")
    assert remains.leases(ours.sandbox) == []


def test_both_lease_from_one_directory(machine: tuple[Plugins, Plugins]) -> None:
    """Taking turns, both continue the round robin and no address is given twice."""
    reference, ours = machine
    turns = [(reference, "t1"), (ours, "t2"), (reference, "t3"), (ours, "t4")]
    addresses = [leased(plugins, container)[0] for plugins, container in turns]
    files = state.leases(ours.sandbox)
    for plugins, container in turns:
        release(plugins, container)
    numbers = [int(address.split("/")[0].split(".")[3]) for address in addresses]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert [files[f"10.77.0.{n}"] for n in numbers] == [
        f"t{turn}\r\neth0".encode() for turn in (1, 2, 3, 4)
    ]


def test_we_detach_what_the_reference_attached(
    machine: tuple[Plugins, Plugins],
) -> None:
    """DEL of ours removes link, lease, DNAT and masquerade rules of the reference."""
    reference, ours = machine
    side = attach(reference, CASE)
    network = Network(ours, CASE.conflist)
    network.results.update(side.network.results)
    network.delete(side.at)
    assert remains.everything(ours.sandbox, *WORDS) == [CONTAINER]


def test_containers_of_the_reference_serve_on(machine: tuple[Plugins, Plugins]) -> None:
    """A port that the reference published answers after ours attached another."""
    reference, ours = machine
    sandbox = ours.sandbox
    attach(reference, CASE)
    web.serve_page(sandbox, CONTAINER)
    sandbox.run("ip", "netns", "add", "c2")
    Network(ours, CASE.conflist).add(Attachment("c2", "/run/netns/c2"))
    url = f"http://{web.HOST}:8080/"
    assert web.fetch(sandbox, url, netns="client") == web.PAGE
