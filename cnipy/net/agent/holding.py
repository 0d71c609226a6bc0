# SPDX-License-Identifier: Apache-2.0
"""The blocks that a node holds, as its plugin reads them, and which are free."""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress

from cni_common.own_files import refusal
from cni_common.pool import held
from cni_common.pool.held import Held

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.spec.fields import IPAddress, IPNetwork
    from cnipy.net.records import NetworkConfig, NodeRecord

_LEASES = "/var/lib/cni/networks"


def write(
    config: NetworkConfig, own: NodeRecord, lost: Collection[IPNetwork] = ()
) -> Held:
    """Have the file say what the node holds; blocks that are `lost` are unusable.

    So is what was so before, as long as it is not the node's again. Raises CNIError.
    """
    before = held.read(config.name)
    former = before.unusable if before else ()
    unusable = ({*former} - {*own.blocks}) | {*lost}
    wanted = Held(
        tuple(pool.network for pool in config.pools),
        (*own.blocks, *sorted(unusable - {*own.blocks}, key=str)),
        tuple(sorted(unusable, key=str)),
    )
    if before != wanted:
        held.write(config.name, wanted)
    return wanted


def lacks_spare(config: NetworkConfig, own: NodeRecord) -> list[int]:
    """Return the IP versions of which no block is without a lease."""
    used = leased(config.name)
    return [
        pool.network.version
        for pool in config.pools
        if not any(
            block.version == pool.network.version
            and not any(_in(address, block) for address in used)
            for block in own.blocks
        )
    ]


def leased(network: str) -> set[IPAddress]:
    """Return the addresses that containers of this node have of a network."""
    found: set[IPAddress] = set()
    directory = os.path.join(_LEASES, network)
    with refusal(f"list {directory}", absence=True):
        for name in os.listdir(directory):
            with suppress(ValueError):
                found.add(ipaddress.ip_address(name))
    return found


def _in(address: IPAddress, block: IPNetwork) -> bool:
    return address.version == block.version and address in block
