# SPDX-License-Identifier: Apache-2.0
"""host-device: whoever is in the container may rename the device and put another link
in its place; what comes to the host is the device.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from lab import ip, run
from netns.bridge.helpers import with_result
from netns.host_device.helpers import MAC, conf, device, on_host, wired
from netns.macvlan.helpers import names
from pictures import files, picture

from cni_common import state

if TYPE_CHECKING:
    from lab import Cni, Host, Space

VALID = "cni.dev/valid-attachments"


@pytest.fixture
def wire(host: Host) -> Space:
    """What is at the other end of the host's device ens5."""
    return wired(host)


def put_decoy(space: Space, *commands: str) -> None:
    """Have the device renamed, and a veth of the container look like it."""
    for command in (
        "ip link set eth0 down",
        "ip link set eth0 name mine alias stolen",
        "ip link add eth0 type veth peer name decoy1",
        f"ip link set eth0 alias ens5 address {MAC} up",
        *commands,
    ):
        space.run(*command.split())


@pytest.mark.parametrize("by", ["DEL", "GC"])
def test_device_comes_home_and_not_a_decoy(
    cni: Cni, wire: Space, container: Space, by: str
) -> None:
    """DEL and GC bring the renamed device, whatever link has its name and alias."""
    before = picture(wire)
    cni.ok("host-device", "ADD", conf(), netns=container)
    put_decoy(container)
    if by == "DEL":
        cni.ok("host-device", "DEL", conf(), netns=container)
    else:
        cni.ok("host-device", "GC", conf(**{VALID: []}))
    assert picture(wire) == before
    assert sorted(names(container)) == ["decoy1", "eth0", "lo"]


def test_device_comes_home_without_the_containers_other_names(
    cni: Cni, wire: Space, container: Space
) -> None:
    """An alternative name that the container gave could be that of the host's links."""
    run("ip", "link", "property", "add", "dev", "ens5", "altname", "rack-port-5")
    before = picture(container, wire)
    cni.ok("host-device", "ADD", conf(), netns=container)
    change = ("ip", "link", "property")
    container.run(*change, "add", "dev", "eth0", "altname", "docker0")
    container.run(*change, "del", "dev", "eth0", "altname", "rack-port-5")
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert device()["altnames"] == ["rack-port-5"]
    assert picture(container, wire) == before


def test_device_that_is_hidden_is_an_error_until_it_is_back(
    cni: Cni, host: Host, wire: Space, container: Space
) -> None:
    """While its namespace lives and lacks the device DEL fails; a retry works."""
    before = picture(container, wire)
    cni.ok("host-device", "ADD", conf(), netns=container)
    hidden = host.space()
    container.run("ip", "link", "set", "eth0", "netns", hidden.name)
    for _ in range(2):
        error = cni.refused("host-device", "DEL", conf(), netns=container)
        message = f"bring back device ens5: it is not in {container.path}"
        assert (error["code"], error["msg"]) == (999, message)
        assert "kind veth" in error["details"]
    hidden.run("ip", "link", "set", "eth0", "netns", container.name)
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert picture(container, wire) == before


def test_link_that_takes_the_index_of_the_device_stays(
    cni: Cni, host: Host, wire: Space, container: Space
) -> None:
    """A veth made anew with the device's index, name, MAC and alias is a decoy.

    Its other end has the index of the device's, in a namespace of the container's.
    """
    del wire
    cni.ok("host-device", "ADD", conf(), netns=container)
    (lent,) = container.ip("link", "show", "eth0")
    container.run("ip", "link", "del", "eth0")
    words = ("index", str(lent["ifindex"]), "address", MAC, "type", "veth")
    peer = ("peer", "name", "decoy1", "index", str(lent["link_index"]))
    inner = ("netns", host.space().name)
    container.run("ip", "link", "add", "eth0", *words, *peer, *inner)
    container.run("ip", "link", "set", "eth0", "alias", "ens5")
    (decoy,) = container.ip("link", "show", "eth0")
    assert decoy["ifindex"] == lent["ifindex"]
    assert decoy["link_index"] == lent["link_index"]
    error = cni.refused("host-device", "DEL", conf(), netns=container)
    assert error["code"] == 999
    assert on_host() == ["lo"]


def test_check_tells_a_decoy(cni: Cni, wire: Space, container: Space) -> None:
    """CHECK does not take a link for the device that only looks like it."""
    del wire
    result = cni.ok("host-device", "ADD", conf(ipam=None), netns=container)
    put_decoy(container)
    stored = with_result(conf(ipam=None), result)
    error = cni.refused("host-device", "CHECK", stored, netns=container)
    message = "check interface eth0: it is not the device ens5 of ADD"
    assert (error["code"], error["msg"]) == (999, message)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_repeated_delete_takes_no_decoy(
    cni: Cni, host: Host, wire: Space, container: Space, *, elsewhere: bool
) -> None:
    """A DEL without a record leaves a decoy, also while another has the device."""
    cni.ok("host-device", "ADD", conf(), netns=container)
    cni.ok("host-device", "DEL", conf(), netns=container)
    if elsewhere:
        cni.ok("host-device", "ADD", conf(), netns=host.space(), container_id="c2")
    words = ("eth0", "address", MAC, "type", "veth", "peer", "decoy1")
    container.run("ip", "link", "add", *words, "netns", wire.name)
    container.run("ip", "link", "set", "eth0", "alias", "ens5")
    before = picture(container)
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert picture(container) == before


def test_decoy_of_the_container_stays_where_nothing_is_recorded(
    cni: Cni, wire: Space, container: Space
) -> None:
    """With records and device lost, a veth that was made inside is not brought."""
    cni.ok("host-device", "ADD", conf(), netns=container)
    container.run("ip", "link", "del", "eth0")
    words = ("eth0", "address", MAC, "type", "veth", "peer", "decoy1")
    container.run("ip", "link", "add", *words)
    container.run("ip", "link", "set", "eth0", "alias", "ens5")
    shutil.rmtree(state.ROOT)
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert on_host() == ["lo"]
    del wire


def test_device_comes_home_when_the_records_are_lost(
    cni: Cni, wire: Space, container: Space
) -> None:
    """Without a record the device that the configuration names is brought back."""
    cni.ok("host-device", "ADD", conf(), netns=container)
    shutil.rmtree(state.ROOT)
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert on_host() == ["lo", "ens5"]
    assert names(container) == ["lo"]
    assert files() == {}
    del wire


@pytest.mark.parametrize("dead", [False, True])
def test_device_under_a_strange_name_is_found_by_its_index(
    cni: Cni, wire: Space, container: Space, *, dead: bool
) -> None:
    """A device that came to the host under any name is told by index and alias."""
    before = picture(wire)
    cni.ok("host-device", "ADD", conf(), netns=container)
    container.run("ip", "link", "set", "eth0", "down")
    container.run("ip", "link", "set", "eth0", "name", "strange")
    container.run("ip", "link", "set", "strange", "netns", str(os.getpid()))
    if dead:
        container.delete()
    cni.ok("host-device", "DEL", conf(), netns=container.path)
    assert picture(wire) == before
    assert "strange" not in {link["ifname"] for link in ip("link", "show")}
