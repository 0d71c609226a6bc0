# SPDX-License-Identifier: Apache-2.0
"""A living container as a runtime has it: attached, and a file of libcni's cache."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnipy.attachment import container_id_of

if TYPE_CHECKING:
    from lab import Space
    from netns.cnipy.helpers import Desk

RESULTS = Path("/var/lib/cni/results")


def attach(
    desk: Desk,
    network: str,
    space: Space,
    *,
    ports: list[int] | None = None,
    ifname: str = "eth0",
) -> Path:
    """Have a container attached; return the file that its runtime has of that."""
    result = desk.attach(network, space, ports=ports, ifname=ifname)
    container = container_id_of(space.path)
    config = (desk.conf_dir / f"{network}.conflist").read_bytes()
    given = [
        {"hostPort": each, "containerPort": 80, "protocol": "tcp", "hostIP": ""}
        for each in ports or []
    ]
    kept = {
        "kind": "cniCacheV1",
        "containerId": container,
        "config": base64.b64encode(config).decode(),
        "ifName": ifname,
        "networkName": network,
        "netns": space.path,
        "cniArgs": [["IgnoreUnknown", "1"], ["K8S_POD_NAME", "web"]],
        "capabilityArgs": {"portMappings": given, "dns": {"searches": ["a.b"]}},
        "result": result,
        "ofLaterRelease": [1, 2],
    }
    RESULTS.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = RESULTS / f"{network}-{container}-{ifname}"
    file.write_text(json.dumps(kept))
    file.chmod(0o640)
    return file


def kept(file: Path) -> Any:
    """Return what the runtime's file says."""
    return json.loads(file.read_text())
