# SPDX-License-Identifier: Apache-2.0
"""The rules that the reference plugins leave for a container, for iptables-restore."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import conf

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHAIN_MAX = 28


class Other(NamedTuple):
    """A container that is not there but for what it left: ID, address, host port."""

    container: str
    address: str
    port: int


def mappings(others: Iterable[Other]) -> str:
    """Return what portmap adds for one published TCP port of each container."""
    chains, jumps = [], []
    for other in others:
        chain = _chain("CNI-DN-", other)
        published = f"-p tcp -m tcp --dport {other.port}"
        to = f"{other.address}:{conf.CONTAINER_PORT}"
        chains += [
            f":{chain} - [0:0]",
            f"-A {chain} -s {conf.SUBNET} {published} -j CNI-HOSTPORT-SETMARK",
            f"-A {chain} -s 127.0.0.1/32 {published} -j CNI-HOSTPORT-SETMARK",
            f"-A {chain} {published} -j DNAT --to-destination {to}",
        ]
        jumps.append(
            f"-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment {_owner('dnat ', other)}"
            f" -m multiport --dports {other.port} -j {chain}"
        )
    return _nat(chains + jumps)


def masquerades(others: Iterable[Other]) -> str:
    """Return what bridge adds for ipMasq of each container."""
    chains, jumps = [], []
    for other in others:
        chain, comment = _chain("CNI-", other), _owner("", other)
        said = f"-m comment --comment {comment}"
        chains += [
            f":{chain} - [0:0]",
            f"-A {chain} -d {conf.SUBNET} {said} -j ACCEPT",
            f"-A {chain} ! -d 224.0.0.0/4 {said} -j MASQUERADE",
        ]
        jumps.append(f"-A POSTROUTING -s {other.address}/32 {said} -j {chain}")
    return _nat(chains + jumps)


def _nat(lines: list[str]) -> str:
    # Declarations of chains come first in this format.
    lines.sort(key=lambda line: not line.startswith(":"))
    return "\n".join(["*nat", *lines, "COMMIT", ""])


def _chain(prefix: str, other: Other) -> str:
    name = f"{conf.NETWORK}{other.container}".encode()
    return (prefix + hashlib.sha512(name).hexdigest())[:_CHAIN_MAX]


def _owner(prefix: str, other: Other) -> str:
    return f'"{prefix}name: \\"{conf.NETWORK}\\" id: \\"{other.container}\\""'
