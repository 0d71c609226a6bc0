# SPDX-License-Identifier: Apache-2.0
"""A world as data: namespaces with their links, rules and files, as tools tell them.

A world is a host and the containers and neighbours around it. Default values and
what the kernel adds by itself are left out.
"""

from __future__ import annotations

import os
import re
import stat
from functools import cache
from glob import glob
from typing import TYPE_CHECKING, Any

from lab import Space, run

from tests.releases.placeholders import concealed
from tests.releases.queues import queues

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOST, NOBODY = "host", "nobody"
ROOTS = ("/run/cni/cnipy", "/run/cni/tuning", "/var/lib/cni")
# An index that is only believed beside the very directory it was made for.
INDEX = "/run/cni/cnipy/host-local"
PARAMETERS = (
    *("ipv4/ip_forward", "ipv4/conf/*/*", "ipv6/conf/*/*"),
    *("bridge/*", "core/somaxconn"),
)
# The number of a process is none to remember.
PID, PID_TEXT = re.compile(r".*/dnsname-servers/[^/]+/pid$"), "0\n"
_OF_LINK = re.compile(r"(ipv[46]/conf/)([^/]+)(/\w+)")
_IPTABLES = re.compile(r"table (ip6?) (filter|nat|mangle|raw)$")
_FLAGS = ("UP", "PROMISC", "ALLMULTI")
# What a link has unless it is told.
USUAL = {"txqlen": "1000", "mtu": "1500"}
Document = dict[str, Any]


def world(spaces: Mapping[str, Space]) -> Document:
    """Return the world of these namespaces, by what each is; one of them the host."""
    found = {
        "spaces": {role: _space(spaces, role) for role in spaces},
        "rules": rules(),
        "iptables": iptables(),
        "files": files(),
    }
    return dict(concealed(found, spaces))


def _space(spaces: Mapping[str, Space], role: str) -> Document:
    space = spaces[role]
    roles = {each.name: name for name, each in spaces.items()}
    listed = space.ip("netns", "list-id")
    # One that is gone has no name any more.
    peers = {item["nsid"]: roles.get(item.get("name"), NOBODY) for item in listed}
    shown = [link for link in space.ip("link", "show") if link]
    found = {
        "nsids": {peers[nsid]: nsid for nsid in peers if peers[nsid] != NOBODY},
        "links": [_link(link, peers, role, shown) for link in shown],
        "addresses": list(_addresses(space)),
        "routes": list(_routes(space)),
        "neighbours": list(_neighbours(space)),
        "parameters": parameters(space),
        "queues": [queue for link in shown for queue in queues(space, link["ifname"])],
    }
    return {key: value for key, value in found.items() if value}


def _link(
    link: Document, peers: Mapping[int, str], role: str, shown: list[Document]
) -> Document:
    about = link.get("linkinfo", {})
    found = {
        "name": link["ifname"],
        "index": link["ifindex"],
        "kind": about.get("info_kind", ""),
        "mac": link["address"],
        "mtu": str(link["mtu"]),
        "txqlen": str(link.get("txqlen", 0)),
        "flags": [flag for flag in _FLAGS if flag in link["flags"]],
        "alias": link.get("ifalias", ""),
        "alternatives": link.get("altnames", []),
        "master": link.get("master", ""),
        "other": _other(link, peers, role, shown),
        "mode": about.get("info_data", {}).get("mode", ""),
        "filtering": about.get("info_data", {}).get("vlan_filtering", 0),
        "port": [
            flag
            for flag in ("hairpin", "isolated")
            if about.get("info_slave_data", {}).get(flag)
        ],
    }
    return {
        key: value for key, value in found.items() if value and value != USUAL.get(key)
    }


def _other(
    link: Document, peers: Mapping[int, str], role: str, shown: list[Document]
) -> list[Any]:
    """Return namespace and index of the peer of a veth, or of what a link lies on."""
    if "link" in link:
        by_name = {each["ifname"]: each["ifindex"] for each in shown}
        return [role, by_name[link["link"]]]
    if "link_index" in link:
        return [peers[link["link_netnsid"]], link["link_index"]]
    return []


def _addresses(space: Space) -> Iterator[list[str]]:
    for link in space.ip("addr", "show"):
        for held in link.get("addr_info", []):
            by_kernel = held["scope"] == "host" or (
                held["scope"] == "link" and held["family"] == "inet6"
            )
            if held.get("local") and not by_kernel:
                yield [link["ifname"], *_address_words(held)]


def _address_words(held: Document) -> Iterator[str]:
    """Yield the address in the words of `ip addr add`."""
    prefix = f"/{held['prefixlen']}"
    if "address" in held:
        yield from (held["local"], "peer", held["address"] + prefix)
    else:
        yield held["local"] + prefix
    if "broadcast" in held:
        yield from ("broadcast", held["broadcast"])
    yield from ("scope", held["scope"])
    for flag in ("nodad", "noprefixroute", "home", "mngtmpaddr"):
        if held.get(flag):
            yield flag


def _routes(space: Space) -> Iterator[str]:
    """Yield family and route in the words of `ip route add`, but for the kernel's."""
    for family in ("-4", "-6"):
        for line in run("ip", family, "-n", space.name, "route").splitlines():
            if "proto kernel" not in line:
                yield f"{family} {line.replace(' linkdown', '').strip()}"


def _neighbours(space: Space) -> Iterator[str]:
    for line in run("ip", "-n", space.name, "neigh", "show", "nud", "permanent").split(
        "\n"
    ):
        if line:
            yield line.removesuffix("PERMANENT").strip()


def parameters(space: Space) -> dict[str, str]:
    """Return the parameters that are not as in a new namespace, by path."""
    usual = _usual_parameters()
    found = {}
    for path, value in _parameters(space):
        default = _OF_LINK.sub(r"\1default\3", path)
        if usual.get(path, usual.get(default)) != value:
            found[path] = value
    return found


@cache
def _usual_parameters() -> dict[str, str]:
    fresh = Space("fresh")
    run("ip", "netns", "add", fresh.name)
    try:
        return dict(_parameters(fresh))
    finally:
        fresh.delete()


def _parameters(space: Space) -> Iterator[tuple[str, str]]:
    top = "/proc/sys/net/"
    with space.entered():
        for pattern in PARAMETERS:
            for path in sorted(glob(top + pattern)):
                # The MTU follows the link's; a secret that is not set is no value.
                if os.path.isfile(path) and not path.endswith(("/mtu", "_secret")):
                    with open(path) as file:
                        yield path.removeprefix(top), file.read().strip()


def rules() -> list[str]:
    """Return the lines of the host's ruleset, without what iptables made."""
    kept: list[str] = []
    for name in run("nft", "list", "tables").splitlines():
        if not _IPTABLES.match(name):
            kept += run("nft", "list", *name.split()).splitlines()
    return [line for line in kept if line]


def iptables() -> dict[str, list[str]]:
    """Return what iptables-save tells of tables that there are, by its family."""
    found = {}
    for name in run("nft", "list", "tables").splitlines():
        match = _IPTABLES.match(name)
        if match:
            command = {"ip": "iptables", "ip6": "ip6tables"}[match[1]]
            saved = run(f"{command}-nft-save", "-t", match[2]).splitlines()
            lines = [line for line in saved if not line.startswith("#")]
            found.setdefault(command, []).extend(lines)
    return {
        command: [re.sub(r"\[\d+:\d+\]", "[0:0]", line) for line in lines]
        for command, lines in found.items()
    }


def files() -> dict[str, list[str]]:
    """Return mode and content of files, by path; a directory's ends with a slash."""
    found = {}
    for root in ROOTS:
        for at, _, names in os.walk(root):
            if at.startswith(INDEX):
                continue
            found[f"{at}/"] = [_mode(at)]
            for name in names:
                path = os.path.join(at, name)
                assert not os.path.islink(path), path
                with open(path, newline="") as file:
                    text = file.read()
                found[path] = [_mode(path), PID_TEXT if PID.match(path) else text]
    return dict(sorted(found.items()))


def comments() -> list[str]:
    """Return the comments of the host's rules, which tell whose or what they are."""
    lines = [*rules(), *(line for lines in iptables().values() for line in lines)]
    return sorted(re.findall(r'comment "([^"]*)"', "\n".join(lines)))


def _mode(path: str) -> str:
    return f"{stat.S_IMODE(os.stat(path).st_mode):o}"
