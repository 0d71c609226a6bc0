# SPDX-License-Identifier: Apache-2.0
"""What plugins do alike whose container gets a link to itself, of whatever kind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import chains
import pytest
from chains import VALID, Container
from pictures import files, picture

from cni_common import state

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Answer, Cni, Host, Space

PLUGINS = ("macvlan", "host-device", "tap", "dummy", "ipvlan", "vlan")
VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
# What no plugin can take, nor DEL needs.
NONSENSE = {
    "master": "absent",
    "mode": "nonsense",
    "mtu": "many",
    "mac": 7,
    "vlanId": "x",
    "device": "other",
    "hwaddr": 7,
    "owner": "root",
    "linkInContainer": "yes",
    "ipam": {"type": "absent"},
}


@pytest.fixture(params=chains.cases(*PLUGINS))
def plugin(request: pytest.FixtureRequest) -> str:
    """One of the plugins."""
    return str(request.param)


@pytest.fixture
def one(host: Host, cni: Cni) -> Container:
    """A container that is not attached yet, on a host with what they attach to."""
    chains.prepare(host)
    return Container(cni, host.space(), 1)


def refused(answer: Answer) -> dict[str, Any]:
    """Return the error of a call."""
    assert answer.status == 1, answer
    return dict(answer.document)


def names(space: Space) -> list[str]:
    """Return the names of the links of a container."""
    return [link["ifname"] for link in space.ip("link", "show")]


def test_delete_leaves_nothing(one: Container, plugin: str) -> None:
    """DEL takes back link, lease and record; a second one finds nothing to do."""
    before = picture(one.space)
    one.add(plugin)
    assert picture(one.space) != before
    for _ in range(2):
        one.delete(plugin)
        assert picture(one.space) == before


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("netns", ["", "/run/netns/never", "plain file", "gone"])
def test_delete_without_the_namespace_releases_the_lease(
    one: Container, plugin: str, netns: str, *, recorded: bool
) -> None:
    """DEL without a namespace, with or without a record, frees the address."""
    one.add(plugin)
    conf, ifname = chains.conf(plugin, 1), one.ifname(plugin)
    assert files() != {}
    if not recorded:
        os.unlink(f"{state.ROOT}/{plugin}/{conf['name']}/c1@{ifname}")
    path = netns if netns[:1] in {"", "/"} else one.space.path
    if netns in {"gone", "plain file"}:
        one.space.delete()
    if netns == "plain file":
        with open(path, "w", encoding="ascii"):
            pass
    one.cni.ok(plugin, "DEL", conf, netns=path, ifname=ifname)
    assert files() == {}
    if netns == "plain file":
        os.unlink(path)


@pytest.mark.parametrize("changed", [{"ipam": None}, NONSENSE])
def test_delete_works_with_another_configuration(
    one: Container, plugin: str, changed: dict[str, Any]
) -> None:
    """Whatever the configuration says by now, DEL takes back what ADD did."""
    before = picture(one.space)
    one.add(plugin)
    answer = one.call("DEL", plugin, **changed)
    assert (answer.status, answer.stdout) == (0, "")
    assert picture(one.space) == before


def test_late_delete_leaves_the_link_of_another(one: Container, plugin: str) -> None:
    """DEL of a forgotten attachment does not touch the new container at its path."""
    one.add(plugin)
    before = picture(one.space)
    Container(one.cni, one.space, 2).delete(plugin)
    assert picture(one.space) == before


def test_delete_leaves_links_of_other_kinds(one: Container, plugin: str) -> None:
    """DEL of an unknown attachment leaves a link of that name that it never makes."""
    one.space.run("ip", "link", "add", one.ifname(plugin), "type", "bridge")
    before = picture(one.space)
    one.delete(plugin)
    assert picture(one.space) == before


def test_interface_that_exists_is_untouched(one: Container, plugin: str) -> None:
    """A link called CNI_IFNAME in the container is an error, and all stays."""
    ifname = one.ifname(plugin)
    one.space.run("ip", "link", "add", ifname, "type", "bridge")
    before = picture(one.space)
    error = refused(one.call("ADD", plugin))
    assert error["msg"] == f"add interface {ifname}: it already exists"
    assert picture(one.space) == before


def test_repeated_add_keeps_the_attachment(one: Container, plugin: str) -> None:
    """The same ADD answers the same, another is refused, and nothing changes."""
    one.add(plugin)
    before = picture(one.space)
    assert one.call("ADD", plugin).document == one.results[plugin]
    assert picture(one.space) == before
    error = refused(one.call("ADD", plugin, dns={"search": ["a.test"]}))
    assert error["msg"] == f"add interface {one.ifname(plugin)}: it already exists"
    assert picture(one.space) == before


def test_check_accepts_what_later_plugins_make(one: Container, plugin: str) -> None:
    """CHECK finds what ADD did, and another MTU and address are no fault."""
    one.add(plugin)
    ifname = one.ifname(plugin)
    one.space.run("ip", "link", "set", ifname, "mtu", "1400")
    one.space.run("ip", "addr", "add", "10.9.9.9/24", "dev", ifname)
    answer = one.call("CHECK", plugin)
    assert answer.status == 0, answer.stdout
    one.results.clear()
    error = refused(one.call("CHECK", plugin))
    assert (error["code"], error["msg"]) == (7, "required prevResult missing")


def test_gc_removes_what_is_not_valid(one: Container, host: Host, plugin: str) -> None:
    """GC leaves valid attachments and other networks, and nothing of the rest."""
    two, three = (Container(one.cni, host.space(), number) for number in (2, 3))
    three.keys[plugin] = {"name": "other"}
    one.add(plugin)
    three.add(plugin)
    before = picture(one.space, three.space)
    two.add(plugin)
    ifname = one.ifname(plugin)
    assert one.call("GC", plugin).status == 0
    assert names(two.space) == ["lo", ifname]
    valid = [{"containerID": "c1", "ifname": ifname}]
    assert one.call("GC", plugin, **{VALID: valid}).status == 0
    assert names(two.space) == ["lo"]
    assert picture(one.space, three.space) == before


def test_gc_with_a_namespace_that_is_gone(one: Container, plugin: str) -> None:
    """GC of an attachment whose namespace is gone frees the lease and the record."""
    one.add(plugin)
    one.space.delete()
    assert one.call("GC", plugin, **{VALID: []}).status == 0
    assert files() == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_result_has_the_shape_of_its_version(
    one: Container, plugin: str, version: str
) -> None:
    """Each version of the specification gets its own shape of the result."""
    one.keys[plugin] = {"cniVersion": version}
    one.add(plugin)
    result = one.results[plugin]
    (link,) = one.space.ip("addr", "show", one.ifname(plugin))
    held = [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]]
    assert result["cniVersion"] == version
    if version in {"0.1.0", "0.2.0"}:
        assert result["ip4"]["ip"] == held[0]
        assert "interfaces" not in result
    else:
        (interface,) = result["interfaces"]
        assert (interface["name"], interface["mac"]) == (
            link["ifname"],
            link["address"],
        )
        assert {ip["interface"] for ip in result["ips"]} == {0}
        assert {ip["address"] for ip in result["ips"]} <= set(held)
        assert ("version" in result["ips"][0]) == (version < "1.0.0")
        assert interface.get("mtu") == (link["mtu"] if version == "1.1.0" else None)
    one.delete(plugin)


def test_dns_of_the_ipam_plugin_is_kept(
    one: Container, plugin: str, tmp_path: Path
) -> None:
    """The configuration's dns counts; without one it is the IPAM plugin's."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 192.0.2.53\n")
    ipam = {**chains.conf(plugin, 1)["ipam"], "resolvConf": str(resolv)}
    for dns, expected in (
        ({}, {"nameservers": ["192.0.2.53"]}),
        ({"dns": {"search": ["a.test"]}}, {"search": ["a.test"]}),
    ):
        one.keys[plugin] = {"ipam": ipam, **dns}
        one.add(plugin)
        assert one.results[plugin]["dns"] == expected
        one.delete(plugin)
