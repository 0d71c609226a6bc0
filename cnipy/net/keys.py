# SPDX-License-Identifier: Apache-2.0
"""The keys of a store; docs/many-nodes.md says who writes which."""

from __future__ import annotations

import ipaddress

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress, IPNetwork

ROOT = "/cnipy/v1/"
# No network has such a name: these are of all networks together.
_VNIS = f"{ROOT}_vnis/"
_REMOVED = f"{ROOT}_removed/"


def vnis() -> str:
    """Return what the keys of VNIs begin with."""
    return _VNIS


def vni(number: int) -> str:
    """Return the key that says which network has that VNI."""
    return f"{_VNIS}{number}"


def removed(generation: str) -> str:
    """Return the key that says that a generation of a network was removed."""
    return f"{_REMOVED}{generation}"


def network(name: str) -> str:
    """Return what all keys of a network begin with."""
    return f"{ROOT}{name}/"


def config(name: str) -> str:
    """Return the key of a network's configuration."""
    return f"{network(name)}config"


def nodes(name: str) -> str:
    """Return what the keys of the nodes' records begin with."""
    return f"{network(name)}nodes/"


def node(name: str, of: str) -> str:
    """Return the key of the record of the node `of`."""
    return f"{nodes(name)}{of}"


def blocks(name: str) -> str:
    """Return what the keys of claimed blocks begin with."""
    return f"{network(name)}blocks/"


def block(name: str, claimed: IPNetwork) -> str:
    """Return the key of the claim of a block."""
    return f"{blocks(name)}{claimed.network_address}_{claimed.prefixlen}"


def block_of(name: str, key: str) -> IPNetwork | None:
    """Return the block that a key claims; None where it claims none."""
    address, _, length = key.removeprefix(blocks(name)).partition("_")
    try:
        claimed = ipaddress.ip_network(f"{address}/{length}")
    except ValueError:
        return None
    return claimed if block(name, claimed) == key else None


def underlays(name: str) -> str:
    """Return what the keys of claimed underlay addresses begin with."""
    return f"{network(name)}underlay/"


def underlay(name: str, address: IPAddress) -> str:
    """Return the key that says which node has that underlay address."""
    return f"{underlays(name)}{address}"


def head(name: str) -> str:
    """Return the key that every node polls, and what is polled with it begins with."""
    return f"{network(name)}head"


def publisher(name: str) -> str:
    """Return the key that whoever publishes holds by a lease."""
    return f"{head(name)}/publisher"


def steps(name: str) -> str:
    """Return what the keys of the latest changes begin with."""
    return f"{network(name)}steps/"


def step(name: str, number: int) -> str:
    """Return the key of the change that leads to a number of the head."""
    return f"{steps(name)}{number:016}"


def snapshot(name: str) -> str:
    """Return the key of all records in one."""
    return f"{network(name)}snapshot"


def signs(name: str) -> str:
    """Return what the keys of signs of life begin with."""
    return f"{network(name)}alive/"


def sign(name: str, of: str) -> str:
    """Return the key of the sign of life of the node `of`."""
    return f"{signs(name)}{of}"


def names(name: str) -> str:
    """Return what the keys of containers' names begin with."""
    return f"{network(name)}names/"


def container(name: str, called: str) -> str:
    """Return the key of a container's name."""
    return f"{names(name)}{called}"


def addresses(name: str) -> str:
    """Return what the keys of containers' addresses begin with."""
    return f"{network(name)}addresses/"


def address(name: str, called: IPAddress) -> str:
    """Return the key that says which names an address has."""
    return f"{addresses(name)}{called}"


def named(name: str, of: str) -> str:
    """Return the key of what the node `of` may have written of both."""
    return f"{network(name)}named/{of}"
