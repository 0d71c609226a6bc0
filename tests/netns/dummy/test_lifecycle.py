# SPDX-License-Identifier: Apache-2.0
"""dummy: ADD, DEL, CHECK, GC and STATUS, with and without addresses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from netns.bridge.helpers import with_result
from netns.dummy.helpers import LEASE, conf
from netns.macvlan.helpers import names, shown
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space

pytestmark = pytest.mark.needs_kernel("dummy")
LEASES = "/var/lib/cni/networks/net"
MAC = "02:00:00:00:00:05"


def test_addresses_are_the_containers_own(cni: Cni, container: Space) -> None:
    """The link is there, whose it is too; its addresses answer; DEL leaves nothing."""
    wanted = conf(mtu=9000, mac=MAC)
    result = cni.ok("dummy", "ADD", wanted, netns=container)
    link = shown(container)
    assert link["linkinfo"]["info_kind"] == "dummy"
    assert (link["mtu"], link["address"], link["ifalias"]) == (
        9000,
        MAC,
        "cni net c1 eth0",
    )
    assert result["interfaces"] == [
        {"name": "eth0", "mac": MAC, "mtu": 9000, "sandbox": container.path}
    ]
    assert [ip["interface"] for ip in result["ips"]] == [0, 0]
    container.run("ip", "link", "set", "lo", "up")
    assert container.reaches("192.0.2.10")
    assert container.reaches("2001:db8:5::10")
    container.run("ip", "link", "set", "lo", "down")
    cni.ok("dummy", "CHECK", with_result(wanted, result), netns=container)
    cni.ok("dummy", "DEL", with_result(wanted, result), netns=container)
    assert names(container) == ["lo"]
    cni.ok("dummy", "DEL", wanted, netns=container)


def test_host_may_have_a_link_called_so(cni: Cni, host: Host, container: Space) -> None:
    """An eth0 of the host is no hindrance, and stays as it is."""
    outside = host.outside()
    before = picture(outside)
    cni.ok("dummy", "ADD", conf(), netns=container)
    assert names(container) == ["lo", "eth0"]
    cni.ok("dummy", "DEL", conf(), netns=container)
    assert picture(outside) == before


@pytest.mark.thorough
def test_without_ipam_the_link_is_up(cni: Cni, container: Space) -> None:
    """Who has no addresses to give gets a link; the result has none either."""
    wanted = conf(ipam=None)
    result = cni.ok("dummy", "ADD", wanted, netns=container)
    assert "UP" in shown(container)["flags"]
    assert "ips" not in result
    cni.ok("dummy", "CHECK", with_result(wanted, result), netns=container)
    old = conf(ipam=None, cniVersion="0.2.0")
    error = cni.refused("dummy", "ADD", old, netns=container, container_id="c2")
    assert error["code"] == 7


def test_delete_goes_on_past_an_ipam_plugin_that_fails(
    cni: Cni, container: Space, tmp_path: Any
) -> None:
    """The link goes whatever the IPAM plugin says; a retry finishes the rest."""
    wanted = conf(ipam=LEASE)
    cni.ok("dummy", "ADD", wanted, netns=container)
    failing = tmp_path / "host-local"
    failing.write_text('#!/bin/sh\necho \'{"code": 100, "msg": "no"}\'\nexit 1\n')
    failing.chmod(0o755)
    path = str(tmp_path)
    options: dict[str, Any] = {"netns": container, "path": path, "in_process": False}
    error = cni.refused("dummy", "DEL", wanted, **options)
    assert error["code"] == 100
    assert names(container) == ["lo"]
    assert "10.5.0.2" in os.listdir(LEASES)
    cni.ok("dummy", "DEL", wanted, netns=container)
    assert "10.5.0.2" not in os.listdir(LEASES)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("ip link set eth0 down", "it is down"),
        ("ip addr del 192.0.2.10/32 dev eth0", "it lacks 192.0.2.10/32"),
        ("ip link set eth0 address 02:00:00:00:00:09", "its MAC is 02:00:00:00:00:09"),
        ("ip link del eth0", "it does not exist"),
        ("ip link set eth0 alias 'cni net other eth0'", "it is not the dummy of ADD"),
    ],
)
def test_check_names_what_is_missing(
    cni: Cni, container: Space, harm: str, words: str
) -> None:
    """CHECK raises code 999 and names the first thing that is not as ADD left it."""
    result = cni.ok("dummy", "ADD", conf(), netns=container)
    container.run("sh", "-c", harm)
    error = cni.refused("dummy", "CHECK", with_result(conf(), result), netns=container)
    assert (error["code"], words in error["msg"]) == (999, True)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("keys", "code"), [({"mtu": -1}, 7), ({"mac": "01:00:00:00:00:01"}, 7)]
)
def test_bad_values_change_nothing(
    cni: Cni, container: Space, keys: dict[str, Any], code: int
) -> None:
    """A value that no link can have is refused before anything is made."""
    before = picture(container)
    error = cni.refused("dummy", "ADD", conf(**keys), netns=container)
    assert error["code"] == code
    assert picture(container) == before


@pytest.mark.thorough
def test_repeated_add_mends(cni: Cni, container: Space) -> None:
    """The same ADD puts back what is missing, and answers the same."""
    result = cni.ok("dummy", "ADD", conf(), netns=container)
    container.run("ip", "addr", "del", "192.0.2.10/32", "dev", "eth0")
    assert cni.ok("dummy", "ADD", conf(), netns=container) == result
    held = [each["local"] for each in shown(container)["addr_info"]]
    assert "192.0.2.10" in held


def test_delete_takes_what_the_reference_left(cni: Cni, container: Space) -> None:
    """A dummy link without an owner goes without a record; another's stays."""
    container.run("ip", "link", "add", "eth0", "type", "dummy")
    cni.ok("dummy", "DEL", conf(), netns=container)
    assert names(container) == ["lo"]
    cni.ok("dummy", "ADD", conf(), netns=container, container_id="new")
    cni.ok("dummy", "DEL", conf(), netns=container, container_id="old")
    assert names(container) == ["lo", "eth0"]


@pytest.mark.thorough
def test_status_is_ready(cni: Cni, host: Host) -> None:
    """Nothing is needed but what the IPAM plugin needs."""
    del host
    cni.ok("dummy", "STATUS", conf())
