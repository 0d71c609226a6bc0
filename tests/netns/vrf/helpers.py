# SPDX-License-Identifier: Apache-2.0
"""Interfaces of a container in VRFs, and what ip shows of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab import Space

NAME = {"cniVersion": "1.1.0", "name": "net", "type": "vrf", "vrfname": "blue"}
RECORDS = "/run/cni/cnipy/vrf"


def conf(result: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a configuration behind a result."""
    return {**NAME, "prevResult": result, **keys}


def vrfs(space: Space) -> dict[str, tuple[int, list[str]]]:
    """Return table and interfaces of each VRF."""
    links = space.ip("link", "show")
    return {
        link["ifname"]: (
            link["linkinfo"]["info_data"]["table"],
            [port["ifname"] for port in links if port.get("master") == link["ifname"]],
        )
        for link in links
        if link.get("linkinfo", {}).get("info_kind") == "vrf"
    }


def records() -> list[str]:
    """Return the files of records."""
    return [f"{d}/{name}" for d, _, names in os.walk(RECORDS) for name in names]
