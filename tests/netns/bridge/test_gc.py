# SPDX-License-Identifier: Apache-2.0
"""bridge: GC keeps what is valid and nothing else; STATUS tells whether ADD works."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, nft_objects, run
from netns.bridge.helpers import conf, layer2

if TYPE_CHECKING:
    from lab import Cni, Host

WANTED = conf(ipMasq=True, macspoofchk=True)
VALID = "cni.dev/valid-attachments"


def attached() -> dict[str, Any]:
    """Return ports, leases and guarded links."""
    elements = nft_objects("set", "bridge", "cnipy_spoofcheck", "guarded")
    leases = os.listdir("/var/lib/cni/networks/net")
    return {
        "ports": len([i for i in ip("link", "show") if i.get("master") == "br0"]),
        "leases": len([name for name in leases if name.startswith("10.")]),
        "guarded": len(elements[0]["set"].get("elem", [])) if elements else 0,
    }


@pytest.fixture
def three(cni: Cni, host: Host) -> list[str]:
    """Container IDs of three attachments."""
    names = ["one", "two", "three"]
    for name in names:
        cni.ok("bridge", "ADD", WANTED, netns=host.space(), container_id=name)
    return names


def attachments(*names: str) -> list[dict[str, str]]:
    return [{"containerID": name, "ifname": "eth0"} for name in names]


@pytest.mark.parametrize("key", [VALID, "cni.dev/attachments"])
def test_gc_keeps_the_valid(cni: Cni, three: list[str], key: str) -> None:
    """Ports, rules and leases of what is not listed are gone, under either key."""
    assert attached() == dict.fromkeys(("ports", "leases", "guarded"), len(three))
    cni.ok("bridge", "GC", {**WANTED, key: attachments("two")})
    assert attached() == {"ports": 1, "leases": 1, "guarded": 1}


@pytest.mark.parametrize("nothing", [[], None])
def test_gc_of_an_empty_list_deletes_all(
    cni: Cni, three: list[str], nothing: Any
) -> None:
    """An empty list, and null as libcni writes one, means that nothing is valid."""
    keys = dict.fromkeys([VALID, "cni.dev/attachments"], nothing)
    cni.ok("bridge", "GC", WANTED | keys)
    assert attached() == {"ports": 0, "leases": 0, "guarded": 0}
    assert nft_objects("ruleset") == []
    assert os.listdir("/run/cni/cnipy").count("bridge") <= 1
    assert len(three) == 3


def test_gc_without_a_list_deletes_nothing(cni: Cni, three: list[str]) -> None:
    """A missing key says nothing about what is valid."""
    cni.ok("bridge", "GC", WANTED)
    assert attached() == dict.fromkeys(("ports", "leases", "guarded"), len(three))


@pytest.mark.parametrize("listed", ["x", {}, [5], [{"containerID": "one"}]])
def test_gc_of_a_malformed_list_deletes_nothing(
    cni: Cni, three: list[str], listed: Any
) -> None:
    """A list that is none is code 7, for acting on a part of it would kill."""
    error = cni.refused("bridge", "GC", {**WANTED, VALID: listed})
    assert error["code"] == 7
    assert attached() == dict.fromkeys(("ports", "leases", "guarded"), len(three))


def test_gc_leaves_other_networks_alone(cni: Cni, host: Host, three: list[str]) -> None:
    """GC of one network does not touch another one on the same bridge."""
    cni.ok("bridge", "GC", {**WANTED, "name": "other", VALID: []})
    assert attached() == dict.fromkeys(("ports", "leases", "guarded"), len(three))
    assert len(host.spaces) == 3


def test_gc_after_the_namespaces_are_gone(
    cni: Cni, host: Host, three: list[str]
) -> None:
    """Rules and leases of containers that vanished are collected."""
    for space in host.spaces:
        space.delete()
    cni.ok("bridge", "GC", {**WANTED, VALID: []})
    assert attached() == {"ports": 0, "leases": 0, "guarded": 0}
    assert nft_objects("ruleset") == []
    assert len(three) == 3


def test_gc_without_ranges_and_with_broken_keys(cni: Cni, three: list[str]) -> None:
    """GC works with a configuration that ADD would refuse."""
    broken = {**WANTED, "mtu": "x", "ipam": {"type": "host-local", "ranges": 5}}
    cni.ok("bridge", "GC", {**broken, VALID: attachments(*three[:2])})
    assert attached() == {"ports": 2, "leases": 2, "guarded": 2}


def test_status_is_silent_when_ready(cni: Cni, host: Host) -> None:
    """STATUS succeeds where ADD would, with and without ipam, and makes nothing."""
    cni.ok("bridge", "STATUS", WANTED)
    cni.ok("bridge", "STATUS", layer2())
    assert nft_objects("ruleset") == []
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]
    assert host.spaces == []


def test_status_tells_a_missing_ipam_plugin(cni: Cni, host: Host) -> None:
    """An IPAM plugin that is not in CNI_PATH is named."""
    error = cni.refused("bridge", "STATUS", conf(ipam={"type": "absent"}))
    assert error["msg"] == (
        f"find plugin 'absent': not in CNI_PATH [{cni.plugin_path}]"
    )
    assert host.spaces == []


def test_status_tells_a_configuration_that_add_would_refuse(
    cni: Cni, host: Host
) -> None:
    """A key that ADD refuses is code 7 of STATUS too."""
    error = cni.refused("bridge", "STATUS", conf(vlan=4095))
    assert error["code"] == 7
    assert host.spaces == []


def test_gc_with_records_lost(cni: Cni, host: Host, three: list[str]) -> None:
    """Masquerading of vanished containers is collected without a record of them."""
    for space in host.spaces:
        space.delete()
    run("rm", "-r", "/run/cni/cnipy/bridge")
    cni.ok("bridge", "GC", {**WANTED, VALID: attachments(three[0])})
    assert nft_objects("table", "inet", "cnipy_masquerade") != []
    cni.ok("bridge", "GC", {**WANTED, VALID: []})
    assert nft_objects("table", "inet", "cnipy_masquerade") == []
