# SPDX-License-Identifier: Apache-2.0
"""Kernel state in a form that can be compared between two machines."""

import re
from pathlib import Path
from typing import Any

from tests.differential.cases import CONTAINER
from tests.runtimes.sandbox.machine import Sandbox

Document = dict[str, Any]
CONTAINER_SYSCTLS = (
    "net.ipv4.conf.{ifname}.arp_notify",
    "net.ipv6.conf.{ifname}.accept_dad",
    "net.ipv6.conf.{ifname}.disable_ipv6",
    "net.ipv6.conf.lo.disable_ipv6",
)
HOST_SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.lab0.accept_ra",
    "net.ipv4.conf.lab0.route_localnet",
)
PORT_FLAGS = ("hairpin", "isolated", "state", "learning", "flood")
VETH = re.compile(r"^veth[0-9a-f]+$")
ADDRESS_KEYS = ("family", "local", "prefixlen", "scope")
ROUTE_KEYS = ("dst", "gateway", "dev", "scope", "prefsrc", "metric", "table")


def addresses(sandbox: Sandbox, link: str, netns: str | None = None) -> list[Document]:
    """Return the addresses of a link, link-local ones apart."""
    shown = sandbox.json("ip", "-j", "addr", "show", "dev", link, netns=netns)[0]
    kept = [a for a in shown["addr_info"] if a["scope"] != "link"]
    return sorted((picked(a, ADDRESS_KEYS) for a in kept), key=str)


def routes(sandbox: Sandbox, family: str) -> list[Document]:
    """Return the container's routes of a family, link-local ones apart."""
    shown = sandbox.json("ip", "-j", family, "route", netns=CONTAINER)
    kept = [r for r in shown if not r["dst"].startswith(("fe80", "ff00"))]
    return sorted((picked(r, ROUTE_KEYS) for r in kept), key=str)


def container(sandbox: Sandbox, ifname: str) -> Document:
    """Return link, addresses, routes and sysctls as the container sees them."""
    link = sandbox.json("ip", "-j", "link", "show", "dev", ifname, netns=CONTAINER)[0]
    return {
        "mtu": link["mtu"],
        "flags": flags(link),
        "addresses": addresses(sandbox, ifname, CONTAINER),
        "routes": routes(sandbox, "-4") + routes(sandbox, "-6"),
        "sysctls": {
            name: sysctl(sandbox, name.format(ifname=ifname), CONTAINER)
            for name in CONTAINER_SYSCTLS
        },
    }


def host(sandbox: Sandbox) -> Document:
    """Return bridge, port and sysctls as the host sees them."""
    link = sandbox.json("ip", "-j", "link", "show", "dev", "lab0")[0]
    ports = sandbox.json("bridge", "-j", "-d", "link", "show")
    return {
        "mtu": link["mtu"],
        "flags": flags(link),
        "addresses": addresses(sandbox, "lab0"),
        "ports": [picked(p, PORT_FLAGS) for p in ports if p.get("master") == "lab0"],
        "sysctls": {name: sysctl(sandbox, name) for name in HOST_SYSCTLS},
    }


def flags(link: Document) -> list[str]:
    """Return the flags of a link without those of its carrier, which come late."""
    return sorted(set(link["flags"]) - {"NO-CARRIER", "LOWER_UP"})


def sysctl(sandbox: Sandbox, name: str, netns: str | None = None) -> str:
    """Return the value of a kernel parameter."""
    return sandbox.run("sysctl", "-n", name, netns=netns).stdout.strip()


def picked(source: Document, keys: tuple[str, ...]) -> Document:
    """Return the chosen keys that are there."""
    return {key: source[key] for key in keys if key in source}


def comparable(result: Document) -> Document:
    """Return a result with MACs and host veth names replaced by what they are.

    An empty `dns`, which later versions of the reference leave out, is left out.
    """
    shown = {key: value for key, value in result.items() if key != "dns" or value}
    shown["interfaces"] = [
        {
            **i,
            "mac": "a MAC" if i.get("mac") else "",
            "name": VETH.sub("veth", i["name"]),
        }
        for i in result.get("interfaces", [])
    ]
    return shown


def leases(sandbox: Sandbox) -> dict[str, bytes]:
    """Return the content of every file in the directories of the network."""
    return {path.name: path.read_bytes() for path in lease_files(sandbox)}


def lease_modes(sandbox: Sandbox) -> dict[str, str]:
    """Return the mode of every file in the directories of the network."""
    return {path.name: oct(path.stat().st_mode) for path in lease_files(sandbox)}


def lease_files(sandbox: Sandbox) -> list[Path]:
    """Return the files that host-local keeps for the network, wherever they are."""
    directories = ("/var/lib/cni/networks/lab", "/run/lab/leases/lab")
    return [path for d in directories for path in sandbox.path(d).rglob("*")]
