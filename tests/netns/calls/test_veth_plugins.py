# SPDX-License-Identifier: Apache-2.0
"""What bridge and ptp do alike, by the same words: STATUS, and a DEL that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.bridge import helpers as bridge
from netns.ptp import helpers as ptp

from cni_common import masquerade, veth_pair
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from lab import Cni, Host, Space

CONF = {"bridge": bridge.conf, "ptp": ptp.conf}
both = pytest.mark.parametrize("plugin", CONF)


@both
def test_status_tells_an_exhausted_range(cni: Cni, host: Host, plugin: str) -> None:
    """The IPAM plugin's code 50 comes through, naming the range."""
    ranges = [[{"subnet": "10.1.2.0/30"}]]
    wanted = CONF[plugin](ipam={"type": "host-local", "ranges": ranges})
    cni.ok(plugin, "ADD", wanted, netns=host.space())
    error = cni.refused(plugin, "STATUS", wanted)
    assert error["code"] == 50
    assert "10.1.2" in error["msg"]


@both
def test_status_tells_that_forwarding_cannot_be_set(
    cni: Cni, host: Host, monkeypatch: pytest.MonkeyPatch, plugin: str
) -> None:
    """With a read-only /proc/sys and forwarding off STATUS is code 50."""
    monkeypatch.setattr("cni_common.kernel.sysctl.writable", lambda _: False)
    assert cni.refused(plugin, "STATUS", CONF[plugin]())["code"] == 50
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    cni.ok(plugin, "STATUS", CONF[plugin]())
    assert host.spaces == []


@both
def test_status_tells_that_rules_cannot_be_made(
    cni: Cni, host: Host, monkeypatch: pytest.MonkeyPatch, plugin: str
) -> None:
    """Without libnftables STATUS is code 50 where rules are asked for, only there."""

    def missing(*_: object, **__: object) -> None:
        raise CNIError(Code.INTERNAL, "load libnftables: absent", "install it")

    monkeypatch.setattr("cni_common.kernel.nft.run", missing)
    error = cni.refused(plugin, "STATUS", CONF[plugin](ipMasq=True))
    assert (error["code"], error["msg"]) == (50, "load libnftables: absent")
    cni.ok(plugin, "STATUS", CONF[plugin]())
    assert host.spaces == []


def refuse(*_: object) -> None:
    """Fail in the place of a step."""
    raise CNIError(Code.INTERNAL, "refused by the test")


@both
@pytest.mark.parametrize(
    ("module", "name"), [(masquerade, "release"), (veth_pair, "delete_host_end")]
)
def test_lease_is_released_even_if_the_rest_fails(  # noqa: PLR0917 - fixtures, and a case
    cni: Cni,
    container: Space,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    plugin: str,
) -> None:
    """DEL goes on past an error, reports it, and a repeated DEL does the rest."""
    wanted = CONF[plugin](ipMasq=True, ipam=bridge.DUAL)
    cni.ok(plugin, "ADD", wanted, netns=container)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, refuse)
        error = cni.refused(plugin, "DEL", wanted, netns=container)
    assert error["msg"] == "refused by the test"
    assert ptp.leases() == []
    cni.ok(plugin, "DEL", wanted, netns=container)
    assert set(ptp.links()) <= {"lo", "br0"}
    assert (nft_objects("ruleset"), ptp.files()) == ([], {})
