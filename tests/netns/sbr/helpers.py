# SPDX-License-Identifier: Apache-2.0
"""Containers with uplinks of their own, each behind a bridge, and what ip shows."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from lab import need, run

if TYPE_CHECKING:
    from lab import Cni, Space

NAME = {"cniVersion": "1.1.0", "name": "net", "type": "sbr"}
RECORDS = "/run/cni/cnipy/sbr"
PROTOCOL = 67


def bridge(number: int, **ipam: Any) -> dict[str, Any]:
    """Return an uplink with a subnet of each family, and default routes by it."""
    return {
        "cniVersion": "1.1.0",
        "name": f"up{number}",
        "type": "bridge",
        "bridge": f"br{number}",
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "ranges": [
                [{"subnet": f"10.{number}.0.0/24"}],
                [{"subnet": f"fd00:{number}::/64"}],
            ],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            **ipam,
        },
    }


def attached(cni: Cni, space: Space, number: int, **ipam: Any) -> dict[str, Any]:
    """Return the result of an uplink: interface net1 for the first, and so on."""
    conf = bridge(number, **ipam)
    found: dict[str, Any] = cni.ok("bridge", "ADD", conf, **of(space, number))
    return found


def of(space: Space, number: int) -> dict[str, Any]:
    """Return what a call about an uplink says of the container."""
    return {"netns": space, "ifname": f"net{number}"}


def conf(result: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a configuration behind a result."""
    return {**NAME, "prevResult": result, **keys}


def rules(space: Space) -> list[tuple[str, str, int]]:
    """Return source, table and priority of the rules that have a source."""
    found = [
        (rule["src"], rule["table"], rule["priority"])
        for family in ("-4", "-6")
        for rule in space.ip(family, "rule")
        if rule["src"] != "all"
    ]
    return sorted(found)


def routes(space: Space, table: int | str = "main") -> list[str]:
    """Return destination, gateway and link of the routes of a table, both families."""
    shown = [
        route
        for family in ("-4", "-6")
        for route in space.ip(family, "route", "show", "table", "all")
        if route.get("table", "main") == str(table)
    ]
    lines = [
        " ".join(
            [r["dst"], *(["via", r["gateway"]] if "gateway" in r else []), r["dev"]]
        )
        for r in shown
    ]
    return sorted(line for line in lines if table != "main" or "fe80" not in line)


def everything(space: Space) -> list[str]:
    """Return all rules and routes as ip shows them, but those of local addresses."""
    found = []
    for words in (("-4", "rule"), ("-6", "rule")):
        found += [str(sorted(each.items())) for each in space.ip(*words)]
    for family in ("-4", "-6"):
        shown = space.ip(family, "route", "show", "table", "all")
        kept = (
            r for r in shown if r.get("table") != "local" and "fe80" not in r["dst"]
        )
        found += [str(sorted(each.items())) for each in kept]
    return sorted(found)


def records() -> list[str]:
    """Return the files of records."""
    return [f"{d}/{name}" for d, _, names in os.walk(RECORDS) for name in names]


def reference(space: Space, command: str, document: dict[str, Any]) -> None:
    """Call the Go plugin of the document's type, in the newest version it speaks."""
    found = json.loads(json.dumps(document).replace('"1.1.0"', '"1.0.0"'))
    for each in found["prevResult"]["interfaces"]:
        each.pop("mtu", None)
    env = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": space.path,
        "CNI_IFNAME": "net1",
        "CNI_PATH": "/usr/lib/cni",
    }
    run(need(found["type"]), env=env, input=json.dumps(found))
