# SPDX-License-Identifier: Apache-2.0
"""The file in which the agent says which blocks of a pool this node holds.

`/var/lib/cnipy/net/<network>/blocks`, written by the agent, read by each ADD. Whoever
can write it decides which addresses containers get, so it is believed as a whole or not
at all, and only where nobody but root could have written it.
"""

from __future__ import annotations

import os
from itertools import pairwise

from cni_common import shapes, trusted_path
from cni_common.leases.ranges import SPARE_BITS
from cni_common.own_files import refusal, remove, replace_synced
from cni_common.spec import json_text
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

    from cni_common.shapes import Table

    IPNetwork = IPv4Network | IPv6Network

ROOT = "/var/lib/cnipy/net"
FILE = "blocks"
_BLOCKS_MAX = 4096
_WAY_OUT = "`cnipy net repair` writes it again"
_NETWORKS = shapes.listed(shapes.network)
_TABLE: Table = {
    "pools": (_NETWORKS, shapes.REQUIRED),
    "blocks": (_NETWORKS, shapes.REQUIRED),
    "unusable": (_NETWORKS, ()),
}


@dataclass(frozen=True)
class Held:
    """The pools of a network, one a family, and the blocks that are this node's.

    Of a block that is `unusable` no address is given any more: another node claims it,
    too. What was leased of it goes on living.
    """

    pools: tuple[IPNetwork, ...]
    blocks: tuple[IPNetwork, ...] = ()
    unusable: tuple[IPNetwork, ...] = ()

    def usable(self, version: int) -> tuple[IPNetwork, ...]:
        """Return the blocks of a family that addresses are given of."""
        own = (block for block in self.blocks if block.version == version)
        return tuple(block for block in own if block not in self.unusable)


def path(network: str) -> str:
    """Return where the file of a network is."""
    return os.path.join(ROOT, network, FILE)


def read(network: str) -> Held | None:
    """Return the blocks that this node holds of a network; None without the file.

    Raises Code.DECODE_FAILURE for a file that says nothing of the kind, or that others
    could have written, and Code.IO_FAILURE for one that cannot be read.
    """
    full = path(network)
    with refusal(f"read {full}"):
        try:
            content = trusted_path.read(full)
        except FileNotFoundError:
            return None
        except trusted_path.StrangeError as error:
            msg = f"read {full}: {error.strerror}"
            raise CNIError(Code.DECODE_FAILURE, msg, _WAY_OUT) from error
    try:
        document = shapes.mapping(json_text.loads(content))
        return checked(Held(**shapes.members(document, _TABLE)))
    except (ValueError, RecursionError) as error:
        msg = f"read {full}: {error}"
        raise CNIError(Code.DECODE_FAILURE, msg, _WAY_OUT) from error


def write(network: str, held: Held) -> None:
    """Replace the file of a network, whole or not at all, safe from a loss of power.

    Raises ValueError for what `read` would refuse, Code.IO_FAILURE where the system
    refuses.
    """
    checked(held)
    document = {key: [str(each) for each in getattr(held, key)] for key in _TABLE}
    content = json_text.dumps(document).encode()
    full = path(network)
    with refusal(f"write {full}"):
        room = trusted_path.open_directory(os.path.dirname(full), create=True)
        try:
            replace_synced(room, FILE, content)
        finally:
            os.close(room)


def erase(network: str) -> None:
    """Have no file of a network there; absence is success, Code.IO_FAILURE raised."""
    full = path(network)
    with refusal(f"remove {full}", absence=True):
        room = trusted_path.open_directory(os.path.dirname(full))
        try:
            remove(FILE, room)
        finally:
            os.close(room)


def checked(held: Held) -> Held:
    """Return blocks that addresses can be given of; else raise ValueError."""
    families = [pool.version for pool in held.pools]
    if not families or len(set(families)) < len(families):
        raise ValueError("pools: one a family is needed, at least one, at most two")
    if len(held.blocks) > _BLOCKS_MAX:
        msg = f"blocks: {len(held.blocks)} of them are more than {_BLOCKS_MAX}"
        raise ValueError(msg)
    for each in held.blocks:
        if each.prefixlen > each.max_prefixlen - SPARE_BITS:
            msg = f"blocks: {each} is too small to give addresses of"
            raise ValueError(msg)
        if not any(_lies_in(each, pool) for pool in held.pools):
            msg = f"blocks: {each} lies in none of the pools"
            raise ValueError(msg)
    _refuse_overlap(held.blocks)
    return held


def _refuse_overlap(blocks: Sequence[IPNetwork]) -> None:
    ordered = sorted(blocks, key=lambda b: (b.version, int(b.network_address)))
    for one, other in pairwise(ordered):
        if one.version == other.version and one.overlaps(other):
            msg = f"blocks: {one} and {other} overlap"
            raise ValueError(msg)


def _lies_in(block: IPNetwork, pool: IPNetwork) -> bool:
    return block.overlaps(pool) and block.prefixlen >= pool.prefixlen
