# SPDX-License-Identifier: Apache-2.0
"""bridge: what a failed ADD found on the host is there again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import run
from netns.bridge.helpers import conf
from pictures import picture

from cni_common import masquerade
from cni_common.kernel import links
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    import pytest
    from lab import Cni, Host, Space


def refuse(*_: object) -> None:
    """Stand for what fails."""
    raise CNIError(Code.INTERNAL, "refused by the test")


BAD_LEASE = conf(ipam={"type": "host-local", "ranges": [[{"subnet": "10.1.2.0/31"}]]})


def test_bridge_of_the_administrator_survives_unchanged(
    cni: Cni, container: Space
) -> None:
    """A failed ADD leaves a bridge without ports down, plain and with its addresses."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", "10.9.9.9/24", "brd", "+", "dev", "br0")
    before = picture(container)
    unforced = conf(promiscMode=True)
    error = cni.refused("bridge", "ADD", unforced, netns=container)
    assert error["msg"] == (
        'set address 10.1.2.1/24 of bridge br0: "br0" already has an IP address'
        " different from 10.1.2.1/24"
    )
    assert picture(container) == before


def test_forced_address_is_put_back(
    cni: Cni, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What forceAddress took from the bridge is there again when ADD fails later."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", "10.9.9.9/24", "brd", "+", "dev", "br0")
    before = picture(container)

    monkeypatch.setattr(masquerade, "ensure", refuse)
    wanted = conf(forceAddress=True, ipMasq=True)
    cni.refused("bridge", "ADD", wanted, netns=container)
    assert picture(container) == before


def test_gateway_of_a_second_network_is_taken_back(
    cni: Cni, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a bridge in use a failed ADD takes back the gateway that only it needs."""
    one, two = host.space(), host.space()
    cni.ok("bridge", "ADD", conf(), netns=one, container_id="one")
    before = picture(one, two)
    ipam = {"type": "host-local", "ranges": [[{"subnet": "fd00:9::/64"}]]}
    other = conf(name="other", ipam=ipam)

    monkeypatch.setattr(links, "announce", refuse)
    cni.refused("bridge", "ADD", other, netns=two, container_id="two")
    assert picture(one, two) == before


def test_lease_that_cannot_be_had_leaves_nothing(cni: Cni, container: Space) -> None:
    """With an exhausted range ADD fails and neither bridge nor record is left."""
    before = picture(container)
    cni.refused("bridge", "ADD", BAD_LEASE, netns=container)
    assert picture(container) == before
