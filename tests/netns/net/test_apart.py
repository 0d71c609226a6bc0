# SPDX-License-Identifier: Apache-2.0
"""Guarded networks of two nodes: neighbours are those of the network, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netns.net.machines import wait_until

if TYPE_CHECKING:
    from netns.net.machines import Lan


def test_networks_are_apart_wherever_their_containers_are(lan: Lan) -> None:
    """Also where a node has a container of the one only, and all come by the uplink."""
    one, other = (lan.node(number) for number in (11, 12))
    guarded = ("--policy", "same-bridge", "--backend", "host-gw")
    one.ok("net", "create", "apps", "--pool", "10.64.0.0/16", *guarded)
    one.ok("net", "create", "more", "--pool", "10.65.0.0/16", *guarded)
    for each in (one, other):
        each.start()
        each.ok("net", "join", "apps")
        each.ok("net", "join", "more")
    web, far = one.container("apps", "web"), other.container("apps", "far")
    alone = other.container("more", "alone")
    wait_until(lambda: one.reaches(far, by="web"))
    wait_until(lambda: other.reaches(web, by="far"))
    assert not other.reaches(alone, by="far")
    other.ok("del", "apps", "far")
    assert not other.reaches(web, by="alone")
    assert not one.reaches(alone, by="web")
    wait_until(lambda: one.reaches("192.0.2.12", by="web"))
    wait_until(lambda: other.reaches("192.0.2.11", by="alone"))
