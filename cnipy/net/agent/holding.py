# SPDX-License-Identifier: Apache-2.0
"""The blocks that a node holds, as its plugin reads them, and which are free."""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress

from cni_common import naming
from cni_common.kernel import addresses, links
from cni_common.kernel.netlink import Netlink
from cni_common.leases.directory import DATA_DIR, locked
from cni_common.leases.ranges import RangeSet, of_block
from cni_common.own_files import DIRECTORY, refusal
from cni_common.pool import held
from cni_common.pool.held import Held
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.spec.fields import IPAddress, IPNetwork
    from cnipy.net.records import NetworkConfig, NodeRecord

_SHOWN = 5  # addresses


def write(
    config: NetworkConfig, own: NodeRecord, lost: Collection[IPNetwork] = ()
) -> Held:
    """Ensure that the file says what the node holds; `lost` blocks are unusable.

    So is what was so before, as long as it is not the node's again. Raises CNIError.
    """
    before = present(config.name)
    former = before.unusable if before else ()
    unusable = ({*former} - {*own.blocks}) | {*lost}
    wanted = _wanted(config, own, unusable)
    if before != wanted:
        held.write(config.name, wanted)
    return wanted


def remove_lost(config: NetworkConfig, own: NodeRecord) -> list[IPNetwork]:
    """Remove lost blocks of which no container has an address, and return them.

    With them go their gateways on the bridge: its routes would lead to it what is for
    the containers of the node that has the blocks. Raises CNIError.
    """
    before = present(config.name)
    if before is None or not before.unusable:
        return []
    with locked(DATA_DIR, config.name, create=False):
        used = leased(config.name)  # also by an ADD that had read the file before
    empty = [b for b in before.unusable if not any(each in b for each in used)]
    _free_bridge(config.name, [block for block in empty if block not in own.blocks])
    if empty:
        left = {*before.unusable} - {*empty}
        held.write(config.name, _wanted(config, own, left))
    return empty


def remove(network: str, own: NodeRecord | None) -> None:
    """Remove the file, so that the plugin gives no address any more, and the blocks'
    gateways on the bridge: those of the node's record, if that is known, and of the
    file.

    Raises Code.INVALID_CONFIG, with all as before, while containers have addresses;
    CNIError.
    """
    before = present(network)
    _refuse_leased(network)
    held.erase(network)
    try:
        with locked(DATA_DIR, network, create=False):
            _refuse_leased(network)  # by an ADD that had read the file before
    except CNIError:
        if before is not None:
            held.write(network, before)
        raise
    former = before.blocks if before else ()  # and among them those that were lost
    _free_bridge(network, [*(own.blocks if own else ()), *former])


def _free_bridge(network: str, blocks: Collection[IPNetwork]) -> None:
    """Remove the gateways of the blocks from the network's bridge.

    Absence of either is success. Raises Code.INTERNAL.
    """
    if not blocks:
        return
    with Netlink() as netlink:
        bridge = links.get(netlink, naming.bridge_of(network))
        if bridge is None:
            return
        for each in addresses.of_link(netlink, bridge):
            if each.address.network in blocks:
                addresses.delete(netlink, bridge, each.address)


def _refuse_leased(network: str) -> None:
    used = sorted(leased(network), key=str)
    if used:
        msg = f"leave network {network}: containers have {len(used)} addresses of it"
        shown = " ".join(str(each) for each in used[:_SHOWN])
        hint = (
            f"{shown}; `cnipy del {network} CONTAINER` detaches, `cnipy gc` what is "
            "gone, and `cnipy net repair` writes the list if that is lost"
        )
        raise CNIError(Code.INVALID_CONFIG, msg, hint)


def present(network: str) -> Held | None:
    """Return what the file says; nothing for one that is damaged, for it is made of
    the node's record.
    """
    try:
        return held.read(network)
    except CNIError as error:
        if error.code != Code.DECODE_FAILURE:
            raise
        return None


def _wanted(
    config: NetworkConfig, own: NodeRecord, unusable: Collection[IPNetwork]
) -> Held:
    return Held(
        tuple(pool.network for pool in config.pools),
        (*own.blocks, *sorted({*unusable} - {*own.blocks}, key=str)),
        tuple(sorted(unusable, key=str)),
    )


def lacks_spare(config: NetworkConfig, own: NodeRecord) -> list[int]:
    """Return the IP versions of which fewer addresses are free than a block has.

    Not those without an empty block: containers that stay may be in any of them, and
    each that is the first of a block would have a further one claimed.
    """
    used, lacking = leased(config.name), list[int]()
    for version in (pool.network.version for pool in config.pools):
        blocks = [block for block in own.blocks if block.version == version]
        rooms = [RangeSet((of_block(block),)).size for block in blocks]
        taken = sum(any(each in block for block in blocks) for each in used)
        if sum(rooms) - taken < max(rooms, default=1):
            lacking.append(version)
    return lacking


def leased(network: str) -> set[IPAddress]:
    """Return the addresses that containers of this node have of a network."""
    found: set[IPAddress] = set()
    directory = os.path.join(DATA_DIR, network)
    with refusal(f"list {directory}"):
        try:
            fd = os.open(directory, DIRECTORY)
        except FileNotFoundError:
            return found
        try:
            names = os.listdir(fd)
        finally:
            os.close(fd)
    for name in names:
        with suppress(ValueError):
            found.add(ipaddress.ip_address(name))
    return found
