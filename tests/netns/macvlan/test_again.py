# SPDX-License-Identifier: Apache-2.0
"""macvlan: ADD where the interface, or the attachment, is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from netns.bridge.helpers import held
from netns.macvlan.helpers import conf
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space


@pytest.fixture
def outside(host: Host) -> Space:
    """A neighbour beyond the uplink eth0."""
    return host.outside()


def test_repeated_add_puts_back_what_is_missing(
    cni: Cni, outside: Space, container: Space
) -> None:
    """Addresses, routes and the link's own options are as they were again."""
    wanted = conf(mode="private", bcqueuelen=2000)
    result = cni.ok("macvlan", "ADD", wanted, netns=container)
    before = picture(container, outside)
    words = ("type", "macvlan", "mode", "vepa", "bcqueuelen", "10")
    container.run("ip", "link", "set", "eth0", *words)
    container.run("ip", "addr", "flush", "dev", "eth0", "scope", "global")
    container.run("ip", "link", "set", "eth0", "down")
    assert cni.ok("macvlan", "ADD", wanted, netns=container) == result
    assert picture(container, outside) == before


def test_add_into_another_netns_keeps_the_attachment(
    cni: Cni, outside: Space, host: Host
) -> None:
    """An attachment that lives in one namespace is not moved to another one."""
    one, two = host.space(), host.space()
    cni.ok("macvlan", "ADD", conf(), netns=one)
    before = picture(one, two, outside)
    error = cni.refused("macvlan", "ADD", conf(), netns=two)
    assert error["msg"] == f"add interface eth0: container c1 has it in {one.path}"
    assert picture(one, two, outside) == before


def test_add_after_the_namespace_died_works(
    cni: Cni, outside: Space, host: Host
) -> None:
    """An attachment whose namespace is gone does not keep a new one from its name."""
    del outside
    one, two = host.space(), host.space()
    cni.ok("macvlan", "ADD", conf(), netns=one)
    one.delete()
    cni.ok("macvlan", "ADD", conf(), netns=two)
    assert len(held(two)) == 2
