# SPDX-License-Identifier: Apache-2.0
"""A node changes its plugins while containers run: the suite deletes what it finds."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from lab import PATIENCE, Cni, Host, Space, need, run

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = {
    "cniVersion": "1.0.0",
    "name": "blue",
    "bridge": "br-blue",
    "isGateway": True,
    "ipMasq": True,
    "macspoofchk": True,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.9.8.0/24"}]]},
}
MAPPINGS = [{"hostPort": 8081, "containerPort": 80, "protocol": "tcp"}]


@pytest.fixture(params=("nft", "legacy"))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH in which iptables is one of its variants."""
    for name in ("iptables", "ip6tables"):
        (tmp_path / name).symlink_to(need(f"{name}-{request.param}"))
    return f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"


def reference(path: str, command: str, plugin: str, space: Space, **keys: Any) -> Any:
    """Run the distribution's plugin and return its result."""
    directory = os.path.dirname(need("host-local"))
    env = {
        "PATH": path,
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "one",
        "CNI_NETNS": space.path,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": directory,
    }
    stdin = json.dumps({**NETWORK, "type": plugin, **keys})
    printed = run(os.path.join(directory, plugin), input=stdin, env=env)
    return json.loads(printed) if printed else None


def leases() -> list[str]:
    names = os.listdir("/var/lib/cni/networks/blue")
    return [name for name in names if name.startswith("10.")]


def is_reached(address: str, server: Space, client: Space) -> bool:
    """Return whether a connection from one namespace to another is taken."""
    with server.entered():
        listening = socket.create_server((address, 8000))
    with listening, client.entered():
        socket.create_connection((address, 8000), timeout=3 * PATIENCE).close()
        return True


def rules() -> list[str]:
    """Return what in any rule set has to do with the container or its network."""
    texts = [run("nft", "list", "ruleset")]
    texts += [run(f"{v}tables-legacy-save") for v in ("ip", "ip6")]
    lines = "\n".join(texts).splitlines()
    return [
        line for line in lines if "CNI" in line or "cni" in line or "10.9.8" in line
    ]


@pytest.mark.parametrize("is_gone", [False, True])
def test_container_of_the_reference_is_deleted_without_a_trace(
    host: Host, cni: Cni, path: str, *, is_gone: bool
) -> None:
    """DEL without prevResult and ports, even without namespace, removes everything."""
    space = host.space()
    result = reference(path, "ADD", "bridge", space)
    ports = {"runtimeConfig": {"portMappings": MAPPINGS}}
    reference(path, "ADD", "portmap", space, **ports, prevResult=result)
    assert [line for line in rules() if "8081" in line] != []
    if is_gone:
        space.delete()

    netns = "" if is_gone else space.path
    for plugin in ("portmap", "bridge"):
        conf = {**NETWORK, "type": plugin}
        assert cni.ok(plugin, "DEL", conf, netns=netns, container_id="one") is None

    assert rules() == []
    assert leases() == []
    if not is_gone:
        assert [link["ifname"] for link in space.ip("link")] == ["lo"]


def test_containers_of_both_run_side_by_side(host: Host, cni: Cni, path: str) -> None:
    """Each gets an address of its own, and deleting ours leaves theirs reachable."""
    theirs, ours = host.space(), host.space()
    result = reference(path, "ADD", "bridge", theirs)
    before = rules()
    conf = {**NETWORK, "type": "bridge"}
    mine = cni.ok("bridge", "ADD", conf, netns=ours, container_id="two")
    assert mine["ips"][0]["address"] != result["ips"][0]["address"]
    address = result["ips"][0]["address"].partition("/")[0]
    assert is_reached(address, theirs, ours)

    cni.ok("bridge", "DEL", conf, netns=ours, container_id="two")

    assert rules() == before
    assert leases() == [address]


def test_container_of_the_suite_is_deleted_by_the_reference(
    host: Host, cni: Cni, path: str
) -> None:
    """The way back: link and lease go with the reference's DEL, rules with our GC.

    Its first DEL removes both, then misses its own chain; repeated it succeeds.
    """
    space = host.space()
    bridge = {**NETWORK, "type": "bridge"}
    result = cni.ok("bridge", "ADD", bridge, netns=space, container_id="one")
    ports = {"runtimeConfig": {"portMappings": MAPPINGS}}
    portmap = {**NETWORK, "type": "portmap", **ports, "prevResult": result}
    cni.ok("portmap", "ADD", portmap, netns=space, container_id="one")

    reference(path, "DEL", "portmap", space, **ports, prevResult=result)
    with pytest.raises(AssertionError, match=r'"code": 999'):
        reference(path, "DEL", "bridge", space, prevResult=result)
    assert leases() == []
    reference(path, "DEL", "bridge", space, prevResult=result)
    assert [link["ifname"] for link in space.ip("link")] == ["lo"]

    for plugin in ("portmap", "bridge"):
        conf = {**NETWORK, "type": plugin, "cniVersion": "1.1.0"}
        cni.ok(plugin, "GC", {**conf, "cni.dev/valid-attachments": []})
    left = rules()
    assert [line for line in left if "one" in line or "8081" in line] == []
    assert [line for line in left if "10.9.8" in line] == []
