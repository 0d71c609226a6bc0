# SPDX-License-Identifier: Apache-2.0
"""ptp: containers that the reference plugin attached, and the way back."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, need, reaches, run
from netns.ptp.helpers import DUAL, NOTHING, conf, leases, left

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space

WANTED = conf(cniVersion="1.0.0", ipMasq=True, ipam=DUAL)


@pytest.fixture(params=("nft", "legacy"))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH in which iptables is one of its variants."""
    for name in ("iptables", "ip6tables"):
        (tmp_path / name).symlink_to(need(f"{name}-{request.param}"))
    return f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"


def reference(path: str, command: str, space: Space, **keys: Any) -> Any:
    """Run the distribution's plugin and return its result."""
    directory = os.path.dirname(need("ptp"))
    env = {
        "PATH": path,
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "one",
        "CNI_NETNS": space.path,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": directory,
    }
    if command == "ADD":
        # It may route from its new IPv6 address before that is known to be nobody's.
        space.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
    stdin = json.dumps({**WANTED, **keys})
    printed = run(os.path.join(directory, "ptp"), input=stdin, env=env)
    return json.loads(printed) if printed else None


def rules() -> list[str]:
    """Return what in any rule set has to do with the container or its network."""
    texts = [run("nft", "list", "ruleset")]
    texts += [run(f"{v}tables-legacy-save") for v in ("ip", "ip6")]
    lines = "\n".join(texts).splitlines()
    return [line for line in lines if "CNI" in line or "10.1.2" in line]


@pytest.mark.parametrize("is_gone", [False, True])
def test_container_of_the_reference_is_deleted_without_a_trace(
    host: Host, cni: Cni, path: str, *, is_gone: bool
) -> None:
    """DEL without prevResult, even without namespace, removes everything."""
    space = host.space()
    reference(path, "ADD", space)
    assert rules() != []
    if is_gone:
        space.delete()
    netns = "" if is_gone else space.path
    cni.ok("ptp", "DEL", WANTED, netns=netns, container_id="one")
    assert rules() == []
    assert leases() == []
    if not is_gone:
        assert {**left(space), "rules": []} == NOTHING


def test_containers_of_both_reach_each_other(host: Host, cni: Cni, path: str) -> None:
    """Each has an address of its own, and deleting ours leaves theirs reachable."""
    theirs, ours = host.space(), host.space()
    reference(path, "ADD", theirs)
    before = rules()
    cni.ok("ptp", "ADD", WANTED, netns=ours, container_id="two")
    for address in ("10.1.2.3", "fd00:1::3"):
        assert reaches(address)
    assert ours.reaches("10.1.2.2")
    cni.ok("ptp", "DEL", WANTED, netns=ours, container_id="two")
    assert rules() == before
    assert reaches("10.1.2.2")
    assert leases() == ["10.1.2.2", "fd00:1::2"]


def test_container_of_the_suite_is_deleted_by_the_reference(
    host: Host, cni: Cni, path: str
) -> None:
    """The way back: link and lease go with the reference's DEL, the rest by our GC."""
    space = host.space()
    result = cni.ok("ptp", "ADD", WANTED, netns=space, container_id="one")
    told = {**WANTED, "prevResult": result}
    reference(path, "DEL", space, ipMasq=False, prevResult=told["prevResult"])
    assert leases() == []
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]
    valid: dict[str, Any] = {"cni.dev/valid-attachments": []}
    cni.ok("ptp", "GC", {**WANTED, "cniVersion": "1.1.0", **valid})
    assert left(space) == NOTHING
