# SPDX-License-Identifier: Apache-2.0
"""Containers with limits, and what tc and a stopwatch say of them."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab import PATIENCE, run
from netns.bridge.helpers import DUAL, conf

if TYPE_CHECKING:
    from lab import Cni, Host, Space

MEBIBYTE = 1 << 20
MBIT = 1_000_000
# What a plain bridge takes below; the gateway is where the other end of a transfer is.
GATEWAYS = {4: "10.1.2.1", 6: "fd00:1::1"}
Document = dict[str, Any]


def tc(*command: str) -> list[Document]:
    """Return what `tc -j` says, as values."""
    output = run("tc", "-j", *command)
    return json.loads(output) if output.strip() else []


def qdiscs(link: str) -> dict[str, Document]:
    """Return the options of the disciplines of a link by their kind."""
    listed = tc("qdisc", "show", "dev", link)
    return {item["kind"]: item.get("options", {}) for item in listed}


def redirects(link: str) -> list[str]:
    """Return the links to which packets that come in by `link` are redirected."""
    return [
        action["to_dev"]
        for item in tc("filter", "show", "dev", link, "ingress")
        for action in item.get("options", {}).get("actions", [])
    ]


def ifbs() -> list[str]:
    """Return the names of all ifbs of the host."""
    output = run("ip", "-j", "link", "show", "type", "ifb")
    listed = json.loads(output) if output.strip() else []
    return sorted(item["ifname"] for item in listed if item)


@dataclass
class Attached:
    """A container on a bridge, and how bandwidth is called for it."""

    cni: Cni
    space: Space
    result: Document
    container_id: str = "c1"
    ifname: str = "eth0"
    network: str = "net"

    @property
    def veth(self) -> str:
        """The host's end."""
        return str(self.result["interfaces"][1]["name"])

    @property
    def addresses(self) -> dict[int, str]:
        """The container's addresses by family."""
        found = [ip["address"].split("/")[0] for ip in self.result["ips"]]
        return {6 if ":" in address else 4: address for address in found}

    def conf(self, **keys: Any) -> Document:
        """Return the configuration of bandwidth; a key that is None is left out."""
        whole = {
            "cniVersion": "1.1.0",
            "name": self.network,
            "type": "bandwidth",
            "prevResult": self.result,
            **keys,
        }
        return {key: value for key, value in whole.items() if value is not None}

    def call(self, command: str, document: Document, **options: Any) -> Any:
        """Return the document of a call that must succeed."""
        return self.cni.ok("bandwidth", command, document, **self._options(options))

    def refused(self, command: str, document: Document, **options: Any) -> Document:
        """Return the error of a call that must fail."""
        whole = self._options(options)
        return dict(self.cni.refused("bandwidth", command, document, **whole))

    def _options(self, options: Document) -> Document:
        identity = {"container_id": self.container_id, "ifname": self.ifname}
        return {"netns": self.space, **identity, **options}


def attached(cni: Cni, space: Space, **keys: Any) -> Attached:
    """Attach `space` to the bridge of the tests; `keys` as those of Attached."""
    one = Attached(cni, space, {}, **keys)
    one.result = cni.ok(
        "bridge",
        "ADD",
        conf(name=one.network, ipam=DUAL),
        netns=space,
        container_id=one.container_id,
        ifname=one.ifname,
    )
    return one


def limits(rate: int = 16 * MBIT, burst: int = 400_000, **keys: Any) -> Document:
    """Return keys that limit both directions, in bits."""
    return {
        "ingressRate": rate,
        "ingressBurst": burst,
        "egressRate": rate,
        "egressBurst": burst,
        **keys,
    }


def seconds(sender: Space | None, receiver: Space | None, address: str) -> float:
    """Return how long a mebibyte takes to `address` of `receiver`; None is the host."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with _inside(receiver):
        server = socket.create_server((address, 0), family=family)
    with server:
        server.settimeout(20 * PATIENCE)
        port = server.getsockname()[1]
        sending = threading.Thread(target=_send, args=(sender, address, port))
        sending.start()
        connection, _ = server.accept()
        with connection:
            connection.settimeout(20 * PATIENCE)
            started = time.monotonic()
            received = 0
            while received < MEBIBYTE:
                received += len(connection.recv(1 << 16))
            spent = time.monotonic() - started
        sending.join()
    return spent


def _send(sender: Space | None, address: str, port: int) -> None:
    with (
        _inside(sender),
        socket.create_connection((address, port), timeout=20 * PATIENCE) as connection,
    ):
        connection.sendall(bytes(MEBIBYTE))


def _inside(space: Space | None) -> AbstractContextManager[None]:
    return nullcontext() if space is None else space.entered()


def node(host: Host, cni: Cni) -> Attached:
    """Return a container that is attached to a bridge of `host` and not limited."""
    return attached(cni, host.space())
