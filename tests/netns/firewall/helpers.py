# SPDX-License-Identifier: Apache-2.0
"""A node whose containers lie behind the plugin firewall, on bridges made with `ip`."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

from lab import PATIENCE, lacking, need, nft_objects, run
from netns.portmap.helpers import Node
from pictures import files

if TYPE_CHECKING:
    from lab import Cni, Host, Space

INET, PORTS = ("inet", "cnipy_firewall"), ("bridge", "cnipy_firewall")
ROOM = "/run/cni/cnipy/firewall"


class Guarded(Node):
    """A host with the bridges br0 and br1, each with its subnet, that forwards."""

    drops = False

    def __init__(self, host: Host, cni: Cni) -> None:
        super().__init__(host, cni)
        self.add_bridge("br1", "10.2.0", "fd02")

    def neighbour(self, number: int) -> Space:
        """Return a container at .number of br1, linked to it as eth1."""
        return self.container(number, bridge="br1")

    def call(self, command: str, space: Space | str, number: int, **keys: Any) -> Any:
        """Return the answer of firewall for the container at .number of br0."""
        conf, options = request(space, number, **keys)
        return self.cni("firewall", command, conf, **options)

    def ok(self, command: str, space: Space | str, number: int, **keys: Any) -> Any:
        """Return the document of a call that must succeed."""
        answer = self.call(command, space, number, **keys)
        assert answer.status == 0, answer.stdout + answer.stderr
        return answer.document if answer.stdout else None

    def refused(self, command: str, space: Space | str, number: int, **k: Any) -> Any:
        """Return the error of a call that must fail."""
        answer = self.call(command, space, number, **k)
        assert answer.status == 1, answer.stdout + answer.stderr
        return answer.document


def request(
    space: Space | str, number: int, **keys: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return configuration and call options for a container at .number of a bridge.

    bridge, container_id, ifname and families choose the attachment; other keys change
    the configuration.
    """
    bridge = keys.pop("bridge", "br0")
    which = 1 if bridge == "br0" else 2
    ifname = keys.pop("ifname", f"eth{which - 1}")
    options = {
        "netns": space,
        "container_id": keys.pop("container_id", f"c{number}"),
        "ifname": ifname,
    }
    addresses = {4: f"10.{which}.0.{number}/24", 6: f"fd0{which}::{number}/64"}
    families = keys.pop("families", (4, 6))
    path = space if isinstance(space, str) else space.path
    interfaces = [
        {"name": bridge},
        {"name": f"{bridge}p{number}"},
        {"name": ifname, "sandbox": path},
    ]
    version = keys.get("cniVersion", "1.1.0")
    ips = [{"address": addresses[f], "interface": 2} for f in families]
    if version == "0.4.0":
        ips = [{"version": str(f), **ip} for f, ip in zip(families, ips, strict=True)]
    conf = {
        "cniVersion": version,
        "name": "net" if bridge == "br0" else "other",
        "type": "firewall",
        "prevResult": {"cniVersion": version, "interfaces": interfaces, "ips": ips},
        **keys,
    }
    return {key: value for key, value in conf.items() if value is not None}, options


def members(name: str, table: tuple[str, str] = INET) -> list[str]:
    """Return the elements of a set as nft shows them, sorted."""
    found = []
    for item in nft_objects("set", *table, name):
        found += [_key(element) for element in item.get("set", {}).get("elem", [])]
    return sorted(found)


def _key(element: Any) -> str:
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"]["val"]
    joined = isinstance(element, dict) and "concat" in element
    parts = element["concat"] if joined else [element]
    return " . ".join(map(_part, parts))


def _part(part: Any) -> str:
    return "{addr}/{len}".format(**part["prefix"]) if isinstance(part, dict) else part


def owners(name: str, table: tuple[str, str] = INET) -> list[str]:
    """Return the comments of a set's elements."""
    listed = json.dumps(nft_objects("set", *table, name))
    return [part.split('"')[0] for part in listed.split('"comment": "')[1:]]


def saved(variant: str = "nft") -> list[str]:
    """Return the filter tables of both families as iptables-save tells them."""
    text = ""
    for family in ("iptables", "ip6tables"):
        text += run(f"{family}-{variant}-save", "-t", "filter")
    lines = (line.partition(" [")[0] for line in text.splitlines())
    return [line for line in lines if line[:1] in (":", "-")]


def drop_forwarded(variant: str = "nft") -> None:
    """Have the host drop what it forwards, as Docker and ufw do."""
    for family in ("iptables", "ip6tables"):
        run(f"{family}-{variant}", "-P", "FORWARD", "DROP")


def left() -> list[str]:
    """Return the files of firewall that are not locks."""
    return sorted(
        os.path.join(at, name)
        for at, _, names in os.walk("/run/cni/cnipy")
        for name in names
        if not at.endswith("locks")
    )


def needs_variant(variant: str) -> None:
    """Skip or fail where this kernel or host has not that iptables."""
    need(f"iptables-{variant}")
    need(f"ip6tables-{variant}")
    try:
        run(f"iptables-{variant}", "-t", "filter", "-S")
    except AssertionError:
        lacking(f"the kernel has no filter table for iptables-{variant}")


def unreached(space: Space, *targets: tuple[str, int]) -> bool:
    """Tell whether none of `targets`, address and port, takes a connection."""
    with space.entered():
        return not any(_takes(address, port) for address, port in targets)


def _takes(address: str, port: int) -> bool:
    """Tell whether a connection is made; on one machine it is within milliseconds."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(0.25 * PATIENCE)
        return client.connect_ex((address, port)) == 0


def touched() -> dict[str, Any]:
    """Return everything that the plugin may change: rules, and files but locks."""
    return {"rules": nft_objects("ruleset"), "files": files()}
