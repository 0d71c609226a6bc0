# SPDX-License-Identifier: Apache-2.0
"""What a node has of a network, and nobody else: name, underlay addresses, blocks.

Each is a key that is there once. Who writes it first has it; the value says who that
is, by the identity that a node made when it joined. So a call that was cut off anywhere
is called again, and a node whose keys the store has lost writes them again.
"""

from __future__ import annotations

from contextlib import suppress

from cni_common import shapes
from cni_common.spec import json_text
from cni_common.spec.values import NamedTuple, dataclass, replace
from cnipy.net import keys
from cnipy.net.membership import free_blocks, removed
from cnipy.net.records import NodeRecord, RecordError
from cnipy.net.store import DeniedError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.shapes import Table
    from cni_common.spec.fields import IPAddress, IPNetwork
    from cnipy.net.records import NetworkConfig
    from cnipy.net.store import Store

_TABLE: Table = {
    "node": (shapes.text, shapes.REQUIRED),
    "identity": (shapes.text, shapes.REQUIRED),
}


class Claimant(NamedTuple):
    """Who a key says has it."""

    node: str
    identity: str

    def content(self) -> bytes:
        """Return it as the store has it."""
        document = {"node": self.node, "identity": self.identity}
        return json_text.dumps(document).encode()


@dataclass(frozen=True)
class Kept:
    """What came of a node's own keys: `lost` blocks are others', `by` has whose."""

    lost: tuple[IPNetwork, ...]
    by: tuple[str, ...]
    written: tuple[str, ...]


class ExhaustedError(RecordError):
    """A pool has no free block any more."""


def of(own: NodeRecord) -> Claimant:
    """Return whom the keys of a node name."""
    return Claimant(own.node, own.identity)


def register(store: Store, config: NetworkConfig, own: NodeRecord) -> None:
    """Have name and underlay addresses be this node's; twice is as good as once.

    Raises RecordError, naming it, if one is another's, with nothing claimed then, and
    StoreError.
    """
    check_name(store, config, own)
    claimed: list[str] = []
    for address in own.underlay:
        key = keys.underlay(config.name, address)
        other = _taken(store, key, own)
        if other:
            for each in claimed:
                release(store, each, own)
            raise _occupied(config, own, address, other)
        claimed.append(key)


def check_name(store: Store, config: NetworkConfig, own: NodeRecord) -> None:
    """Raise RecordError if another node has the name; raises StoreError."""
    found = store.get(keys.node(config.name, own.node))
    identity = found and _identity(found.value)
    if identity and identity != own.identity:
        what = f"node {own.node} of network {config.name}"
        cause = "another node has that name: `cnipy net forget` if it is gone"
        raise RecordError(what, cause)


def put(store: Store, config: NetworkConfig, own: NodeRecord) -> None:
    """Have the store say of this node what `own` says.

    Raises RecordError if another node has the name, and StoreError.
    """
    check_name(store, config, own)
    store.put(keys.node(config.name, own.node), own.content())


def claim(
    store: Store, config: NetworkConfig, own: NodeRecord, version: int
) -> IPNetwork:
    """Return a block of the pool of an IP version that is this node's from now on.

    Raises ExhaustedError where there is none, RecordError without such a pool, and
    StoreError.
    """
    pool = config.pool(version)
    if pool is None:
        what = f"network {config.name}"
        raise RecordError(what, f"it has no pool of IPv{version}")
    for block in free_blocks.candidates(store, config, pool):
        if block not in own.blocks and not _taken(store, _key(config, block), own):
            return block
    msg = f"all {free_blocks.count(pool)} blocks are claimed"
    raise ExhaustedError(f"pool {pool.network} of network {config.name}", msg)


def claim_block(
    store: Store, config: NetworkConfig, own: NodeRecord, block: IPNetwork
) -> None:
    """Have this very block be the node's; raises RecordError if it cannot be."""
    pool = config.pool(block.version)
    what = f"block {block} of network {config.name}"
    cause = pool.why_not(block) if pool else "no pool of that family"
    if cause:
        raise RecordError(what, cause)
    other = _taken(store, _key(config, block), own)
    if other:
        raise RecordError(what, f"node {other.node} has claimed it")


def held(store: Store, config: NetworkConfig, own: NodeRecord) -> tuple[IPNetwork, ...]:
    """Return the blocks that the store says are the node's; raises StoreError.

    All claims are read: it is for a node that begins.
    """
    found = []
    for entry in store.list(keys.blocks(config.name)):
        block = keys.block_of(config.name, entry.key)
        if block and claimant(entry.value) == of(own):
            found.append(block)
    return tuple(found)


def keep(store: Store, config: NetworkConfig, own: NodeRecord, seen: int = 0) -> Kept:
    """Have the store say again what it lost of this node; raises StoreError.

    A store that has the node's record as it is has lost nothing of it, which is one
    question. A store that was put back is to be told `seen`, the highest number of a
    head that this node saw, from which to count on. Raises RecordError if another node
    has name or address by now, and where the network was removed: nothing is written.
    """
    found = store.get(keys.node(config.name, own.node), stale=True)
    if found and _is_of(found.value, config, own, seen):
        return Kept((), (), ())
    own = replace(own, head=max(own.head, seen))
    written = []
    if store.get(keys.config(config.name)) is None:
        if removed.is_marked(store, config):
            raise _removed(config)
        with suppress(DeniedError):  # where an administrator alone may
            store.create(keys.config(config.name), config.content())
            store.create(keys.vni(config.vni), config.name.encode())
            written.append(f"configuration of network {config.name}")
    register(store, config, own)
    others = {
        block: other
        for block in own.blocks
        if (other := _taken(store, _key(config, block), own))
    }
    put(store, config, own)
    written.append(f"record of node {own.node} in network {config.name}")
    by = tuple(other.node for other in others.values())
    return Kept(tuple(others), by, tuple(written))


def leave(store: Store, config: NetworkConfig, own: NodeRecord) -> None:
    """Have nothing in the store be this node's any more; raises StoreError.

    The record goes first, so that others have no way to what is given back.
    """
    found = store.get(keys.node(config.name, own.node))
    is_own = found and _identity(found.value) == own.identity
    if found and is_own:
        store.delete(found.key, found.revision)
    for block in {*own.blocks, *held(store, config, own)}:
        release(store, _key(config, block), own)
    for address in own.underlay:
        release(store, keys.underlay(config.name, address), own)
    if is_own or not found:
        store.delete(keys.sign(config.name, own.node))


def forget(store: Store, config: NetworkConfig, node: str) -> list[str]:
    """Have nothing in the store be that of the node `node`; return which keys went.

    Raises StoreError.
    """
    gone = []
    key = keys.node(config.name, node)
    if store.delete(key):
        gone.append(key)
    sign = keys.sign(config.name, node)
    if store.delete(sign):
        gone.append(sign)
    for prefix in (keys.blocks(config.name), keys.underlays(config.name)):
        for entry in store.list(prefix):
            who = claimant(entry.value)
            if who and who.node == node and store.delete(entry.key, entry.revision):
                gone.append(entry.key)
    return gone


def release(store: Store, key: str, own: NodeRecord) -> None:
    """Have a key of this node be nobody's; one of another's stays."""
    found = store.get(key)
    if found and claimant(found.value) == of(own):
        store.delete(key, found.revision)


def claimant(value: bytes) -> Claimant | None:
    """Return who a claim names; None for what is no claim."""
    try:
        document = shapes.mapping(json_text.loads(value))
        return Claimant(**shapes.members(document, _TABLE))
    except (ValueError, RecursionError):
        return None


def _taken(store: Store, key: str, own: NodeRecord) -> Claimant | None:
    """Have a key be this node's, or return whose it is."""
    if store.create(key, of(own).content()):
        return None
    found = store.get(key)
    if found is None:  # it went in between
        return _taken(store, key, own)
    who = claimant(found.value) or Claimant("unknown", "")
    return None if who == of(own) else who


def _key(config: NetworkConfig, block: IPNetwork) -> str:
    return keys.block(config.name, block)


def _is_of(content: bytes, config: NetworkConfig, own: NodeRecord, seen: int) -> bool:
    """Tell whether a record says what `own` does, and that it saw a head not below
    `seen`.
    """
    try:
        found = NodeRecord.parse(content, own.node, config)
    except RecordError:
        return False
    return found.head >= seen and replace(found, head=own.head) == own


def _identity(record: bytes) -> str:
    try:
        return shapes.text(shapes.mapping(json_text.loads(record)).get("identity"))
    except (ValueError, RecursionError):
        return ""  # what is no record is nobody's


def _removed(config: NetworkConfig) -> RecordError:
    cause = f"it was removed: `cnipy net leave {config.name}`"
    return RecordError(f"network {config.name}", cause)


def _occupied(
    config: NetworkConfig, own: NodeRecord, address: IPAddress, other: Claimant
) -> RecordError:
    what = f"node {own.node} of network {config.name}"
    cause = (
        f"underlay address {address} is that of node {other.node}: "
        "`cnipy net forget` if it is gone"
    )
    return RecordError(what, cause)
