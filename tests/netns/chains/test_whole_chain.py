# SPDX-License-Identifier: Apache-2.0
"""A container as a node has them: a chain, and a macvlan beside the host's eth0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chains import CHAIN, Container
from lab import ip, nft_objects
from netns.portmap.helpers import ask_from, serving

if TYPE_CHECKING:
    from lab import Cni, Host

NAMELESS = CHAIN[:-1]  # dnsname needs no more of a kernel than these
NODE = "198.51.100.1"


@pytest.mark.every_kernel
def test_chain_and_macvlan_work_and_leave_nothing(cni: Cni, host: Host) -> None:
    """Published, masqueraded, forwarded, limited; then a link on the local network.

    The host has a link of the container's name throughout.
    """
    outside = host.outside()
    container = Container(cni, host.space(), 1)
    container.add(*NAMELESS)
    with serving(container.space, "web"):
        published = ask_from(outside, NODE, 8081)
    with serving(outside, "outside", 8000):
        masqueraded = ask_from(container.space, "198.51.100.2", 8000)
    container.add("macvlan")
    with serving(outside, "outside", 8000):
        direct = ask_from(container.space, "198.51.100.2", 8000)
    for plugin in (*NAMELESS, "macvlan"):
        answer = container.call("CHECK", plugin)
        assert answer.status == 0, (plugin, answer.stdout)
    assert published == "web 198.51.100.2"
    assert masqueraded == f"outside {NODE}"
    assert direct == "outside 198.51.100.100"
    container.delete(*NAMELESS, "macvlan")
    assert [link["ifname"] for link in ip("link", "show")] == ["lo", "eth0", "br0"]
    assert [link["ifname"] for link in container.space.ip("link", "show")] == ["lo"]
    assert [item for item in nft_objects("ruleset") if "rule" in item] == []
