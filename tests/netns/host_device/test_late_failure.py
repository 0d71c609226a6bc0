# SPDX-License-Identifier: Apache-2.0
"""host-device: where a device goes when ADD or DEL does not come to its end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.host_device.helpers import conf, device, in_use, wired
from netns.macvlan.helpers import names
from pictures import files, picture

from cni_common import homecoming, layer3
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from lab import Cni, Host, Space


@pytest.mark.parametrize("lent_again", [False, True])
def test_device_that_is_home_leaves_its_record_to_go(
    cni: Cni, host: Host, container: Space, *, lent_again: bool
) -> None:
    """A DEL that was killed before it could remove the record is finished by another.

    Also when the device has got another index on its way, and another container.
    """
    wire, second = wired(host), host.space()
    words = ("index", str(device()["ifindex"]), "type", "bridge")
    container.run("ip", "link", "add", "br0", *words)
    cni.ok("host-device", "ADD", conf(ipam=None), netns=container)
    records = files()
    cni.ok("host-device", "DEL", conf(ipam=None), netns=container)
    if lent_again:
        other = {"netns": second, "container_id": "c2"}
        cni.ok("host-device", "ADD", conf(ipam=None), **other)
    before = picture(container, second, wire)
    for path, content in records.items():
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        Path(path).write_bytes(content)
    cni.ok("host-device", "DEL", conf(ipam=None), netns=container)
    assert picture(container, second, wire) == before


def test_failed_add_gives_the_host_its_addresses_back(
    cni: Cni, host: Host, container: Space
) -> None:
    """A device in use comes back from a failed ADD with its addresses and routes."""
    wire = in_use(host)
    before = steady_routes(picture(container, wire))
    tiny = [[{"subnet": "10.1.2.0/30", "rangeEnd": "10.1.2.1"}]]
    wanted = conf(ipam={"type": "host-local", "ranges": tiny})
    cni.refused("host-device", "ADD", wanted, netns=container)
    assert steady_routes(picture(container, wire)) == before


def steady_routes(picture: dict[str, Any]) -> dict[str, Any]:
    """Return a picture without who made a route, which does not come back."""
    return {key: value for key, value in picture.items() if ".protocol" not in key}


def test_failed_add_puts_the_device_back_into_its_bridge(
    cni: Cni, host: Host, container: Space
) -> None:
    """A port of a bridge is a port again when ADD fails."""
    wire = wired(host)
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "set", "ens5", "master", "br0")
    assert device()["master"] == "br0"
    before = picture(container, wire)
    error = cni.refused(
        "host-device", "ADD", conf(ipam={"type": "absent"}), netns=container
    )
    assert error["msg"].startswith("find plugin 'absent'")
    assert picture(container, wire) == before


def test_error_that_cannot_be_undone_can_be_retried(
    cni: Cni, host: Host, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that could not go home after a failed ADD is brought by DEL."""
    wire = wired(host)
    before = picture(container, wire)

    def refuse(*_: object, **__: object) -> None:
        raise CNIError(Code.INTERNAL, "refused by the test")

    def keep(*_: object) -> None:
        raise CNIError(Code.INTERNAL, "kept by the test")

    with monkeypatch.context() as patch:
        patch.setattr(layer3, "configure", refuse)
        patch.setattr(homecoming, "move_out", keep)
        error = cni.refused("host-device", "ADD", conf(), netns=container)
    assert "undo: kept by the test" in error["details"]
    assert names(container) == ["lo", "eth0"]
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert picture(container, wire) == before
