# SPDX-License-Identifier: Apache-2.0
"""DEL under a network's new name, by a path that leads elsewhere by now, and with the
records lost: what belongs to the attachment goes, and nothing else.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip
from netns.calls.lists import CHAINS, Chain
from netns.host_device.helpers import wired
from netns.macvlan.helpers import names
from pictures import files, picture

from cni_common import state

if TYPE_CHECKING:
    from lab import Cni, Host, Space

OWN = "/proc/thread-self/ns/net"
every_chain = pytest.mark.parametrize("kind", CHAINS)


@pytest.fixture
def chain(cni: Cni, host: Host, kind: str) -> Chain:
    """A list on a host with the uplink eth0 and the device ens5."""
    host.outside()
    wired(host)
    return Chain(cni, CHAINS[kind])


def without_bridge(shown: dict[str, Any]) -> dict[str, Any]:
    """Return what ip, nft and the directories show; a bridge and forwarding stay."""
    links = sorted(link["ifname"] for link in ip("link", "show"))
    return {
        "links": [name for name in links if name != "br0"],
        "rules": shown["rules"],
        "files": shown["files"],
    }


@every_chain
def test_delete_under_a_new_name_leaves_nothing(chain: Chain, container: Space) -> None:
    """The list was renamed meanwhile; DEL finds the attachment by its namespace."""
    before = without_bridge(picture())
    chain.add(container)
    chain.name = "renamed"
    chain.delete(container)
    assert without_bridge(picture()) == before
    assert names(container) == ["lo"]


@every_chain
@pytest.mark.parametrize("netns", ["", OWN, "gone"])
def test_delete_under_a_new_name_needs_no_namespace_that_is_gone(
    chain: Chain, container: Space, netns: str
) -> None:
    """Where the recorded namespace is dead, nobody can miss what is released."""
    lost = {"ens5"} if chain.plugins[0]["type"] == "host-device" else set()
    before = without_bridge(picture())
    before["links"] = [name for name in before["links"] if name not in lost]
    chain.add(container)
    container.delete()
    chain.name = "renamed"
    chain.delete(container if netns == "gone" else netns)
    assert without_bridge(picture()) == before


@every_chain
def test_delete_under_a_new_name_spares_who_lives_elsewhere(
    chain: Chain, host: Host, container: Space
) -> None:
    """An attachment in another living namespace is not the one that is meant."""
    chain.add(container)
    chain.name = "renamed"
    before = picture(container)
    for netns in ("", host.space()):
        chain.delete(netns)
        assert picture(container) == before


@every_chain
@pytest.mark.parametrize("lost", [False, True])
def test_path_that_leads_to_the_host_means_that_the_container_is_gone(
    chain: Chain, container: Space, *, lost: bool
) -> None:
    """A process of the host has the number in CNI_NETNS by now: all is released."""
    gone = {"ens5"} if chain.plugins[0]["type"] == "host-device" else set()
    before = without_bridge(picture())
    before["links"] = [name for name in before["links"] if name not in gone]
    chain.add(container)
    container.delete()
    if lost:
        shutil.rmtree(state.ROOT)
    chain.delete(OWN)
    if lost:
        assert [name for name in files() if "last_reserved" not in name] == []
        after = sorted(link["ifname"] for link in ip("link", "show"))
        assert [name for name in after if name != "br0"] == before["links"]
    else:
        assert without_bridge(picture()) == before


@every_chain
@pytest.mark.parametrize("with_result", [False, True])
def test_links_are_found_when_the_records_are_lost(
    chain: Chain, container: Space, *, with_result: bool
) -> None:
    """Without any record links go by name and alias, and a lent device comes home."""
    before = sorted(link["ifname"] for link in ip("link", "show"))
    chain.add(container)
    shutil.rmtree(state.ROOT)
    if not with_result:
        chain.result = {}
    chain.delete(container)
    after = sorted(link["ifname"] for link in ip("link", "show"))
    assert [name for name in after if name != "br0"] == before
    assert names(container) == ["lo"]
    assert files() == {}


@pytest.mark.parametrize("kind", ["bridge", "ptp"])
@pytest.mark.parametrize("lost", [False, True])
def test_lent_device_that_is_called_like_the_interface_stays(
    chain: Chain, cni: Cni, container: Space, *, lost: bool
) -> None:
    """A container that gives a lent device the name of its veth does not lose it."""
    chain.add(container)
    lent = {"cniVersion": "1.1.0", "name": "direct", **CHAINS["host-device"][0]}
    options = {"netns": container, "ifname": "net1"}
    cni.ok("host-device", "ADD", lent, **options)
    for name, other in (("eth0", "mine"), ("net1", "eth0")):
        container.run("ip", "link", "set", name, "down")
        container.run("ip", "link", "set", name, "name", other)
    if lost:
        shutil.rmtree(f"{state.ROOT}/{chain.plugins[0]['type']}")
    chain.delete(container)
    assert "eth0" in names(container)
    cni.ok("host-device", "DEL", lent, **options)
    assert "ens5" in {link["ifname"] for link in ip("link", "show")}
