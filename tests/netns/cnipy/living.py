# SPDX-License-Identifier: Apache-2.0
"""A living container as a runtime has it: attached, and a file of libcni's cache."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netns.cnipy.helpers import mappings

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
    kept = {
        "kind": "cniCacheV1",
        "containerId": container,
        "config": base64.b64encode(config).decode(),
        "ifName": ifname,
        "networkName": network,
        "netns": space.path,
        "cniArgs": [["IgnoreUnknown", "1"], ["K8S_POD_NAME", "web"]],
        "capabilityArgs": {
            "portMappings": mappings(ports or []),
            "dns": {"searches": ["a.b"]},
        },
        "result": result,
        "ofLaterRelease": [1, 2],
    }
    RESULTS.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = file_of(space, network, ifname)
    file.write_text(json.dumps(kept))
    file.chmod(0o640)
    return file


def file_of(space: Space, network: str = "n", ifname: str = "eth0") -> Path:
    """Return the runtime's file of an attachment."""
    return RESULTS / f"{network}-{container_id_of(space.path)}-{ifname}"


def kept(file: Path) -> Any:
    """Return what the runtime's file says."""
    return json.loads(file.read_text())


def call(desk: Desk, file: Path, verb: str, **capabilities: Any) -> None:
    """Have the runtime call each plugin of a list with what its file says.

    `capabilities` are what it believes to have asked for, where that is another.
    """
    told = kept(file)
    network, plugins = told["networkName"], desk.lists[told["networkName"]]
    given = told["capabilityArgs"] | capabilities
    for plugin in plugins if verb == "CHECK" else reversed(plugins):
        conf: dict[str, Any] = {"cniVersion": "1.1.0", "name": network, **plugin}
        taken = conf.pop("capabilities", {})
        conf["runtimeConfig"] = {key: given[key] for key in taken if key in given}
        conf["prevResult"] = told["result"]
        desk.cni.ok(
            plugin["type"],
            verb,
            conf,
            netns=told["netns"],
            container_id=told["containerId"],
            ifname=told["ifName"],
            args=";".join("=".join(pair) for pair in told["cniArgs"]),
        )
