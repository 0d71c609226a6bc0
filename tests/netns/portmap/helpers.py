# SPDX-License-Identifier: Apache-2.0
"""A node whose containers publish ports: bridge, servers that tell who asked, clients.

The bridge is made with `ip`, so that what portmap does is tested by itself.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from lab import PATIENCE, nft_objects, run

from cni_common import state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host, Space

TABLE = ("table", "inet", "cnipy_portmap")
NODE, NODE6 = "198.51.100.1", "2001:db8:99::1"


class Node:
    """A host with a bridge br0 (10.1.0.1, fd01::1) that forwards."""

    def __init__(self, host: Host, cni: Cni) -> None:
        self.host, self.cni = host, cni
        # Without duplicate address detection, IPv6 works from the first moment.
        set_parameter("ipv6/conf/default/accept_dad", "0")
        self.outside = host.outside()
        self.add_bridge("br0", "10.1.0", "fd01")
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            set_parameter(name, "1")
        filter_bridged("0")
        for version, via in (("-4", NODE), ("-6", NODE6)):
            self.outside.run("ip", version, "route", "add", "default", "via", via)

    def add_bridge(self, name: str, subnet: str, ipv6: str) -> None:
        """Make a further bridge of the node.

        With a MAC of its own: else it changes with the ports, and who has talked to the
        bridge before talks to nobody for some seconds.
        """
        mac = f"02:00:00:00:b0:{int(subnet.split('.')[1]):02x}"
        run("ip", "link", "add", name, "address", mac, "type", "bridge")
        run("ip", "addr", "add", f"{subnet}.1/24", "dev", name)
        run("ip", "addr", "add", f"{ipv6}::1/64", "dev", name, "nodad")
        run("ip", "link", "set", name, "up")

    def container(
        self, number: int, bridge: str = "br0", space: Space | None = None
    ) -> Space:
        """Return a container at .number of the bridge, linked to it."""
        space = space or self.host.space()
        with space.entered():
            set_parameter("ipv6/conf/default/accept_dad", "0")
        subnet, ipv6 = ("10.1.0", "fd01") if bridge == "br0" else ("10.2.0", "fd02")
        ifname = "eth0" if bridge == "br0" else "eth1"
        link = f"{bridge}p{number}"
        peer = ("peer", "name", ifname, "netns", space.name)
        run("ip", "link", "add", link, "type", "veth", *peer)
        run("ip", "link", "set", link, "master", bridge, "up")
        at = ("ip", "-n", space.name)
        run(*at, "link", "set", "lo", "up")
        run(*at, "addr", "add", f"{subnet}.{number}/24", "dev", ifname)
        run(*at, "addr", "add", f"{ipv6}::{number}/64", "dev", ifname, "nodad")
        run(*at, "link", "set", ifname, "up")
        for version, via in (("-4", f"{subnet}.1"), ("-6", f"{ipv6}::1")):
            default = ("route", "add", "default", "via", via, "dev", ifname)
            run("ip", version, *at[1:], *default, check=False)
        return space

    def publish(
        self, space: Space, number: int, *mappings: dict[str, Any], **keys: Any
    ) -> Any:
        """Call ADD, which must succeed, and return its result."""
        conf, options = request(space, number, *mappings, **keys)
        return self.cni.ok("portmap", "ADD", conf, **options)


def set_parameter(name: str, value: str) -> None:
    """Write a parameter below /proc/sys/net of this namespace."""
    with open(f"/proc/sys/net/{name}", "w") as file:
        file.write(value)


def filter_bridged(value: str) -> None:
    """Switch br_netfilter: whether bridged packets pass the hooks of IP."""
    for name in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
        set_parameter(f"bridge/{name}", value)


def mapping(host_port: int, port: int = 80, **keys: Any) -> dict[str, Any]:
    """Return a port mapping as a runtime sends it."""
    return {"hostPort": host_port, "containerPort": port, "protocol": "tcp", **keys}


def request(
    space: Space, number: int, *mappings: dict[str, Any], **keys: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return configuration and call options for a container at .number of br0.

    container_id and ifname are options, families chooses the addresses; other keys
    change the configuration.
    """
    options = {
        "netns": space,
        "container_id": keys.pop("container_id", f"c{number}"),
        "ifname": keys.pop("ifname", "eth0"),
    }
    bridge = 2 if options["ifname"] == "eth1" else 1
    addresses = {4: f"10.{bridge}.0.{number}/24", 6: f"fd0{bridge}::{number}/64"}
    families = keys.pop("families", (4, 6))
    previous = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": options["ifname"], "sandbox": space.path}],
        "ips": [{"address": addresses[f], "interface": 0} for f in families],
    }
    conf = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "portmap",
        "prevResult": previous,
        "runtimeConfig": {"portMappings": list(mappings)},
        **keys,
    }
    return conf, options


@contextmanager
def serving(
    space: Space | None,
    name: str,
    port: int = 80,
    *,
    udp: bool = False,
    protocol: int = 0,
) -> Iterator[None]:
    """Have `name` and the asker's address answered at `port` of a container.

    Without a container it is the host itself, which hears of the port on any address.
    """
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with space.entered() if space else nullcontext():
        listener = socket.socket(socket.AF_INET6, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::", port))
    if not udp:
        listener.listen()
    serve = _serve_udp if udp else _serve_tcp
    thread = threading.Thread(target=serve, args=(listener, name), daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(3)


def _serve_tcp(listener: socket.socket, name: str) -> None:
    with suppress(OSError):
        while True:
            connection, peer = listener.accept()
            with connection:
                connection.sendall(_answer(name, peer))


def _serve_udp(listener: socket.socket, name: str) -> None:
    with suppress(OSError):
        listener.settimeout(30 * PATIENCE)
        while True:
            _, peer = listener.recvfrom(100)
            listener.sendto(_answer(name, peer), peer)


def _answer(name: str, peer: Any) -> bytes:
    return f"{name} {peer[0].removeprefix('::ffff:')}".encode()


def ask(
    address: str,
    port: int,
    *,
    udp: bool = False,
    protocol: int = 0,
    source: tuple[str, int] | None = None,
) -> str:
    """Return the answer of a server, from this namespace; "" when there is none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with socket.socket(family, kind, protocol) as client:
        client.settimeout(1.2 * PATIENCE)
        if source is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(source)
        try:
            client.connect((address, port))
            if udp:
                client.send(b"who?")
            return client.recv(100).decode()
        except OSError:
            return ""


def ask_from(space: Space, address: str, port: int, **options: Any) -> str:
    """Return the answer of a server to a client in `space`."""
    with space.entered():
        return ask(address, port, **options)


def elements(name: str) -> dict[str, str]:
    """Return a map or set of portmap as nft shows it: key -> value."""
    kind = "map" if "ports" in name else "set"
    objects = nft_objects(kind, "inet", "cnipy_portmap", name)
    found = {}
    for item in objects:
        for element in item.get(kind, {}).get("elem", []):
            key, value = element if kind == "map" else (element, None)
            found[_text(key)] = "" if value is None else _text(value)
    return found


def _text(value: Any) -> str:
    inner = value["elem"]["val"] if "elem" in value else value
    return " . ".join(str(part) for part in inner["concat"])


def owners(name: str) -> list[str]:
    """Return the comments of a map's or set's elements."""
    kind = "map" if "ports" in name else "set"
    listed = json.dumps(nft_objects(kind, "inet", "cnipy_portmap", name))
    return [part.split('"')[0] for part in listed.split('"comment": "')[1:]]


def rules() -> int:
    """Return how many rules the table has."""
    return sum("rule" in item for item in nft_objects(*TABLE))


def route_localnet(link: str) -> str:
    """Return the parameter of a link."""
    with open(f"/proc/sys/net/ipv4/conf/{link}/route_localnet") as file:
        return file.read().strip()


def left() -> list[str]:
    """Return the files of portmap that are not locks."""
    return sorted(
        os.path.join(at, name)
        for at, _, names in os.walk(state.ROOT)
        for name in names
        if not at.endswith("locks")
    )
