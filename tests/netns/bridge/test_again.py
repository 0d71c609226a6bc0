# SPDX-License-Identifier: Apache-2.0
"""bridge: ADD where the interface, or the attachment, is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netns.bridge.helpers import conf
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def test_interface_that_exists_is_untouched(cni: Cni, container: Space) -> None:
    """A link called CNI_IFNAME in the container is an error, and it stays as it is."""
    container.run("ip", "link", "add", "eth0", "type", "bridge")
    before = picture(container)
    error = cni.refused("bridge", "ADD", conf(), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    assert picture(container) == before


def test_repeated_add_keeps_the_attachment(cni: Cni, container: Space) -> None:
    """A second ADD of a living attachment answers the same and changes nothing."""
    wanted = conf(ipMasq=True, macspoofchk=True)
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    before = picture(container)
    assert cni.ok("bridge", "ADD", wanted, netns=container) == result
    assert picture(container) == before


def test_another_add_of_a_living_attachment_is_refused(
    cni: Cni, container: Space
) -> None:
    """What would be made otherwise is an error, and what is there stays."""
    cni.ok("bridge", "ADD", conf(), netns=container)
    before = picture(container)
    error = cni.refused("bridge", "ADD", conf(hairpinMode=True), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    assert picture(container) == before


def test_add_into_another_netns_keeps_the_attachment(cni: Cni, host: Host) -> None:
    """An attachment that lives in one namespace is not moved to another one."""
    one, two = host.space(), host.space()
    cni.ok("bridge", "ADD", conf(), netns=one)
    before = picture(one, two)
    error = cni.refused("bridge", "ADD", conf(), netns=two)
    assert error["msg"] == f"add interface eth0: container c1 has it in {one.path}"
    assert picture(one, two) == before
