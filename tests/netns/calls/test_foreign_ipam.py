# SPDX-License-Identifier: Apache-2.0
"""An IPAM plugin of somebody else may ask by the link itself, as `dhcp` does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from pictures import picture

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Space

SCRIPT = """#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
nsenter --net="$CNI_NETNS" ip link show "$CNI_IFNAME" >/dev/null || exit 1
cat "$(dirname "$0")/answer"
"""
GIVEN = {"cniVersion": "1.1.0", "ips": [{"address": "10.4.0.9/24"}]}
KEYS: dict[str, dict[str, Any]] = {
    "bridge": {"bridge": "br0", "macspoofchk": True},
    "macvlan": {"master": "uplink"},
    "host-device": {"device": "uplink"},
    "tap": {},
}


@pytest.mark.parametrize("plugin", KEYS)
def test_link_is_there_before_addresses_are_asked_for(
    cni: Cni, container: Space, tmp_path: Path, plugin: str
) -> None:
    """The link is found by the IPAM plugin, and goes again when that refuses."""
    executable = tmp_path / "asking"
    executable.write_text(SCRIPT)
    executable.chmod(0o755)
    run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "other")
    run("ip", "link", "set", "uplink", "up")
    conf = {"cniVersion": "1.1.0", "name": "net", "type": plugin, **KEYS[plugin]}
    conf["ipam"] = {"type": "asking"}
    options: dict[str, Any] = {"netns": container}
    options["path"] = f"{cni.plugin_path}:{tmp_path}"
    before = picture(container)
    (tmp_path / "answer").write_text("no address today")
    cni.refused(plugin, "ADD", conf, **options)
    assert picture(container) == before
    (tmp_path / "answer").write_text(json.dumps(GIVEN))
    result = cni.ok(plugin, "ADD", conf, **options)
    assert [each["address"] for each in result["ips"]] == ["10.4.0.9/24"]
    (end,) = container.ip("addr", "show", "eth0")
    assert "10.4.0.9" in [each["local"] for each in end["addr_info"]]
    cni.ok(plugin, "CHECK", {**conf, "prevResult": result}, **options)
    cni.ok(plugin, "DEL", conf, **options)
    assert container.ip("link", "show")[0]["ifname"] == "lo"
