# SPDX-License-Identifier: Apache-2.0
"""The same configuration gives the same result, kernel state and leases."""

from collections.abc import Iterator

import pytest

from tests.differential import state
from tests.differential.cases import CASES, CONTAINER, RESOLV, V4, V6, ipam
from tests.differential.pair import Attached, Pair, machines
from tests.runtimes.sandbox.chain import Attachment, Plugins


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
    """Link, addresses, routes and sysctls in the container are the same."""
    ifname = attached.case.ifname
    reference, ours = attached.both(lambda side: state.container(side.sandbox, ifname))
    assert ours == reference


def test_host_looks_the_same(attached: Attached) -> None:
    """Bridge, port flags, gateway addresses and sysctls on the host are the same."""
    reference, ours = attached.both(lambda side: state.host(side.sandbox))
    assert ours == reference


def test_leases_on_disk_are_the_same(attached: Attached) -> None:
    """host-local's directory has the same files with the same bytes."""
    reference, ours = attached.both(lambda side: state.leases(side.sandbox))
    assert ours == reference


def test_our_leases_are_private(attached: Attached) -> None:
    """Leases of ours have the mode of later references, 0600, and not 0644."""
    modes = state.lease_modes(attached.ours.sandbox)
    assert set(modes.values()) <= {"0o100600", "0o100750"}


def test_our_addresses_are_usable_at_once(attached: Attached) -> None:
    """No address of ours is tentative when ADD returns.

    The bridge's link-local one counts: the kernel asks for neighbours from it. A
    container without addresses is left alone, as the reference leaves it.
    """
    sandbox, tentative = (
        attached.ours.sandbox,
        ("ip", "-j", "addr", "show", "tentative"),
    )
    bridge = sandbox.json(*tentative, "dev", "lab0")
    container = sandbox.json(*tentative, "dev", attached.case.ifname, netns=CONTAINER)
    layer2 = not {"ips", "ip4", "ip6"} & attached.ours.result.keys()
    shown = bridge + ([] if layer2 else container)
    held = [a for link in shown for a in link.get("addr_info", [])]
    assert [address["local"] for address in held] == []


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0"])
def test_host_local_alone_gives_the_same_result(pair: Pair, version: str) -> None:
    """host-local itself prints the same document, dns of resolvConf included."""
    section = ipam(V4, V6, resolvConf="/run/lab/resolv.conf")
    document = {"cniVersion": version, "name": "lab", "type": "x", "ipam": section}

    def lease(plugins: Plugins) -> state.Document:
        plugins.sandbox.write("/run/lab/resolv.conf", RESOLV)
        at = Attachment(CONTAINER, "/run/netns/none")
        return plugins.call("ADD", document, at, "host-local").document

    assert lease(pair.ours) == lease(pair.reference)
