# SPDX-License-Identifier: Apache-2.0
"""A world made of data, with ip, tc, nft and iptables: what a release once left."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import need, run

from tests.releases.observed import HOST, ROOTS, USUAL
from tests.releases.placeholders import revealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lab import Space

HERE = Path(__file__).parent
RECORDED = sorted(str(path.relative_to(HERE)) for path in HERE.glob("*/*.json"))
Document = dict[str, Any]
SERVERS = "/run/cni/cnipy/dnsname-servers"
_FLAGS = {
    "UP": ("up",),
    "PROMISC": ("promisc", "on"),
    "ALLMULTI": ("allmulticast", "on"),
}


def build(world: Document, spaces: Mapping[str, Space]) -> None:
    """Have the world in these namespaces, which are new; one of them is the host."""
    world = revealed(world, spaces)
    described = world["spaces"]
    for role, space in spaces.items():
        for other, nsid in described[role].get("nsids", {}).items():
            at = ("ip", "-n", space.name, "netns", "set")
            run(*at, spaces[other].name, str(nsid))
    _add_links(described, spaces)
    for role, space in spaces.items():
        links = described[role]["links"]
        _ip(space, [words for link in links for words in _settings(link)])
    for role, space in spaces.items():
        _set_parameters(space, described[role].get("parameters", {}))
        _ip(space, list(_addresses(described[role])))
    for role, space in spaces.items():
        _set_routes(space, described[role])
    _load_rules(world)
    _write_files(world["files"])
    _start_servers()


def _add_links(described: Document, spaces: Mapping[str, Space]) -> None:
    """Add all links, those last that lie on another one."""
    by_index = {
        (role, link["index"]): link
        for role in described
        for link in described[role]["links"]
    }
    # The host's ends first, so that only containers need a name from there.
    places = sorted(by_index, key=lambda place: (place[0] != HOST, place))
    added = set()
    for place in places:
        link = by_index[place]
        kind = link.get("kind")
        if not kind or place in added or kind == "macvlan":
            continue
        words = [*_identity(link), "type", kind]
        if kind == "veth":
            other = tuple(link["other"])
            added.add(other)
            peer = ("peer", *_identity(by_index[other]))
            words += [*peer, "netns", spaces[other[0]].name]
        if link.get("filtering"):
            words += ["vlan_filtering", "1"]
        run("ip", "-n", spaces[place[0]].name, "link", "add", *words)
    for place, link in by_index.items():
        if link.get("kind") == "macvlan":
            where, index = link["other"]
            lower = by_index[where, index]["name"]
            into = ("netns", spaces[place[0]].name, "type", "macvlan")
            words = ["link", lower, *_identity(link), *into, "mode", link["mode"]]
            run("ip", "-n", spaces[where].name, "link", "add", *words)


def _identity(link: Document) -> list[str]:
    return ["name", link["name"], "index", str(link["index"]), "address", link["mac"]]


def _ip(space: Space, commands: list[tuple[str, ...]]) -> None:
    """Carry out commands of ip, up to the first that fails."""
    lines = [shlex.join(words) for words in commands]
    run("ip", "-n", space.name, "-batch", "-", input="\n".join([*lines, ""]))


def _settings(link: Document) -> Iterator[tuple[str, ...]]:
    change = ("link", "set", "dev", link["name"])
    if link.get("kind"):
        for key, usual in USUAL.items():
            yield (*change, key, link.get(key, usual))
    if link.get("alias"):
        yield (*change, "alias", link["alias"])
    for name in link.get("alternatives", []):
        yield ("link", "property", "add", "dev", link["name"], "altname", name)
    if link.get("master"):
        yield (*change, "master", link["master"])
    for flag in link.get("port", []):
        yield (*change, "type", "bridge_slave", flag, "on")


def _set_parameters(space: Space, parameters: Mapping[str, str]) -> None:
    """Write the parameters of all links first, for they change those of each."""
    with space.entered():
        for path in sorted(parameters, key=lambda path: (path.count("/"), path)):
            with open(f"/proc/sys/net/{path}", "w") as file:
                file.write(parameters[path])


def _addresses(described: Document) -> Iterator[tuple[str, ...]]:
    for link in described["links"]:
        for flag in link.get("flags", []):
            yield ("link", "set", "dev", link["name"], *_FLAGS[flag])
    for link, *words in described.get("addresses", []):
        yield ("addr", "add", *words, "dev", link)


def _set_routes(space: Space, described: Document) -> None:
    at = ("ip", "-n", space.name)
    # What leads to a gateway comes before the gateway.
    for line in sorted(described.get("routes", []), key=lambda line: " via " in line):
        family, *words = line.split()
        run("ip", family, *at[1:], "route", "add", *words)
    for line in described.get("neighbours", []):
        run(*at, "neigh", "replace", *line.split(), "nud", "permanent")
    for line in described.get("queues", []):
        run("tc", *at[1:], *shlex.split(line))


def _load_rules(world: Document) -> None:
    for command, lines in world["iptables"].items():
        restore = need(f"{command}-nft-restore")
        run(restore, input="\n".join([*lines, ""]))
    run("nft", "-f", "-", input="\n".join([*world["rules"], ""]))


def _write_files(files: Mapping[str, list[str]]) -> None:
    """Have what is described and nothing else, directories before what is in them."""
    for root in ROOTS:
        shutil.rmtree(root, ignore_errors=True)
    for path, (mode, *content) in sorted(files.items()):
        if path.endswith("/"):
            os.makedirs(path, exist_ok=True)
        else:
            with open(path, "w", newline="") as file:
                file.write(content[0])
        os.chmod(path, int(mode, 8))


def _start_servers() -> None:
    """Start each network's dnsmasq, which writes its own number."""
    if os.path.isdir(SERVERS):
        for network in os.listdir(SERVERS):
            conf = f"{SERVERS}/{network}/dnsmasq.conf"
            run(need("dnsmasq"), f"--conf-file={conf}")


def stop_servers() -> None:
    """End the dnsmasq processes that a test has left."""
    for path in glob(f"{SERVERS}/*/pid"):
        with open(path) as file, suppress(ProcessLookupError):
            os.kill(int(file.read()), signal.SIGKILL)
