# SPDX-License-Identifier: Apache-2.0
"""What an IPAM plugin says of routes that no kernel takes: one clear error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space

LEASED = {"address": "10.1.2.9/24", "gateway": "10.1.2.1"}
ROUTES = {
    "priority 99999999999": {"priority": 99999999999},
    "scope 256": {"scope": 256},
    "table 4294967296": {"table": 1 << 32},
    "mtu -5": {"mtu": -5},
    "advmss -1": {"advmss": -1},
    "two IP versions": {"gw": "fd00::1"},
}


def conf(plugin: str, **ipam: Any) -> dict[str, Any]:
    """Return a configuration whose addresses and routes are stated."""
    stated = {"type": "static", "addresses": [LEASED], **ipam}
    return {"cniVersion": "1.1.0", "name": "n", "type": plugin, "ipam": stated}


@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
@pytest.mark.parametrize("told", list(ROUTES))
def test_what_no_route_can_have_is_refused(
    host: Host, cni: Cni, container: Space, plugin: str, told: str
) -> None:
    """Code 7, no traceback, and nothing left."""
    wanted = conf(plugin, routes=[{"dst": "10.9.0.0/16", **ROUTES[told]}])
    answer = cni(plugin, "ADD", wanted, netns=container)
    assert answer.document["code"] == 7
    assert told in answer.document["msg"]
    assert "Traceback" not in answer.stderr
    assert [link["ifname"] for link in ip("link")] == ["lo"]
    del host


def test_a_gateway_of_the_other_family_is_refused(
    host: Host, cni: Cni, container: Space, tmp_path: Path
) -> None:
    """The host's end of ptp cannot be reached by it."""
    ips = [{**LEASED, "gateway": "fd00::1"}]
    answered = json.dumps({"cniVersion": "1.1.0", "ips": ips})
    program = tmp_path / "strange"
    program.write_text(f"#!/bin/sh\n[ $CNI_COMMAND = DEL ] || echo '{answered}'\n")
    program.chmod(0o755)
    wanted = {**conf("ptp"), "ipam": {"type": "strange"}}
    answer = cni("ptp", "ADD", wanted, netns=container, path=str(tmp_path))
    assert "two IP versions" in answer.document["msg"]
    assert "Traceback" not in answer.stderr
    assert [link["ifname"] for link in ip("link")] == ["lo"]
    del host
