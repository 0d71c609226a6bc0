# SPDX-License-Identifier: Apache-2.0
"""ptp: GC keeps what is valid and nothing else; STATUS tells whether ADD works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects
from netns.ptp.helpers import NOTHING, conf, leases, left, links

if TYPE_CHECKING:
    from lab import Cni, Host

WANTED = conf(ipMasq=True)
VALID = "cni.dev/valid-attachments"


@pytest.fixture
def three(cni: Cni, host: Host) -> list[str]:
    """Container IDs of three attachments."""
    names = ["one", "two", "three"]
    for name in names:
        cni.ok("ptp", "ADD", WANTED, netns=host.space(), container_id=name)
    return names


def attached() -> tuple[int, int]:
    """Return how many host ends and leases there are."""
    return len(links()) - 1, len(leases())


def attachments(*names: str) -> list[dict[str, str]]:
    return [{"containerID": name, "ifname": "eth0"} for name in names]


@pytest.mark.parametrize("key", [VALID, "cni.dev/attachments"])
def test_gc_keeps_the_valid(cni: Cni, host: Host, three: list[str], key: str) -> None:
    """Links, rules and leases of what is not listed are gone, under either key."""
    assert attached() == (len(three), len(three))
    cni.ok("ptp", "GC", {**WANTED, key: attachments("two")})
    assert attached() == (1, 1)
    assert host.spaces[1].reaches("10.1.2.1")
    assert nft_objects("table", "inet", "cnipy_masquerade") != []


@pytest.mark.parametrize("listed", [[], None])
@pytest.mark.parametrize("lost", [False, True])
def test_gc_of_an_empty_list_deletes_all(
    cni: Cni, host: Host, three: list[str], listed: Any, *, lost: bool
) -> None:
    """An empty list, or null, means that no attachment is valid; namespaces may be."""
    if lost:
        for space in host.spaces:
            space.delete()
    cni.ok("ptp", "GC", {**WANTED, VALID: listed})
    assert left() == NOTHING
    assert len(three) == 3


@pytest.mark.parametrize(
    ("listed", "status"),
    [("x", 1), ({}, 1), ([5], 1), ([{"containerID": "one"}], 1)],
)
def test_gc_without_a_list_deletes_nothing(
    cni: Cni, three: list[str], listed: Any, status: int
) -> None:
    """A missing key says nothing about what is valid, a malformed one is code 7."""
    answer = cni("ptp", "GC", {**WANTED, VALID: listed})
    assert answer.status == status
    assert not status or answer.document["code"] == 7
    assert attached() == (len(three), len(three))


def test_gc_leaves_other_networks_alone(cni: Cni, three: list[str]) -> None:
    """GC of one network does not touch another one."""
    cni.ok("ptp", "GC", {**WANTED, "name": "other", VALID: []})
    assert attached() == (len(three), len(three))


def test_gc_with_a_broken_configuration(cni: Cni, three: list[str]) -> None:
    """GC works with a configuration that ADD would refuse."""
    broken = {**WANTED, "mtu": "x", "ipam": {"type": "host-local", "ranges": 5}}
    cni.ok("ptp", "GC", {**broken, VALID: attachments(*three[:2])})
    assert attached() == (2, 2)


def test_status_is_silent_when_ready(cni: Cni, host: Host) -> None:
    """STATUS succeeds where ADD would, and makes nothing."""
    cni.ok("ptp", "STATUS", WANTED)
    assert left(*host.spaces) == NOTHING


def test_status_tells_what_add_would_refuse(cni: Cni, host: Host) -> None:
    """A key that ADD refuses is code 7, a missing IPAM plugin is named."""
    assert cni.refused("ptp", "STATUS", conf(mtu=-1))["code"] == 7
    error = cni.refused("ptp", "STATUS", conf(ipam={"type": "absent"}))
    assert error["msg"] == f"find plugin 'absent': not in CNI_PATH [{cni.plugin_path}]"
    assert host.spaces == []
