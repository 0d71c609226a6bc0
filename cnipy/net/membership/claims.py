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
from cnipy.net.documents import RecordError
from cnipy.net.membership import free_blocks, removed
from cnipy.net.records import NodeRecord
from cnipy.net.store import DeniedError, StoreError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cni_common.shapes import Table
    from cni_common.spec.fields import IPAddress, IPNetwork
    from cnipy.net.records import NetworkConfig
    from cnipy.net.store import Entry, Store

_TRIES = 10
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
    """What came of a node's keys: its record as it is by now, what had to be written,
    and which other node has those of its blocks that are `lost`.
    """

    own: NodeRecord
    lost: Mapping[IPNetwork, str]
    written: tuple[str, ...]


class ExhaustedError(RecordError):
    """A pool has no free block any more."""


def claimant_of(node: NodeRecord) -> Claimant:
    """Return whom the keys of a node name."""
    return Claimant(node.node, node.identity)


def register(store: Store, config: NetworkConfig, own: NodeRecord) -> None:
    """Claim the node's underlay addresses; twice is as good as once.

    Raises RecordError where the network was removed, and if the name or an address is
    another's, naming it: then nothing is claimed that was not before. StoreError.
    """
    removed.refuse(store, config)
    _found(store, config, own)
    claimed: list[str] = []
    for address in own.underlay:
        key = keys.underlay(config.name, address)
        if _is_own(store.get(key), own):
            continue
        other = _taken(store, key, own)
        if other:
            for each in claimed:
                release(store, each, own)
            what = f"node {own.node} of network {config.name}"
            cause = f"underlay address {address} is that of node {other.node}"
            raise RecordError(what, f"{cause}: `cnipy net forget` if it is gone")
        claimed.append(key)


def put(store: Store, config: NetworkConfig, own: NodeRecord) -> None:
    """Write the node's record; underlay addresses that only the former one has are
    nobody's then.

    The former one stays until they are, so that a call that was cut off is called
    again. Of two nodes that write under one name at once, one has it. Raises
    RecordError if another node has the name, and StoreError.
    """
    key, content = keys.node(config.name, own.node), own.content()
    for _ in range(_TRIES):
        found = _found(store, config, own)
        if found and found.value == content:
            return
        for address in _addresses(found, config, own) - {*own.underlay}:
            release(store, keys.underlay(config.name, address), own)
        revision = found.revision if found else 0
        if store.cas(key, content, revision) if found else store.create(key, content):
            return
    raise StoreError(f"write {key}: others write it all the time")


def claim(
    store: Store, config: NetworkConfig, own: NodeRecord, version: int
) -> IPNetwork:
    """Claim a block of the pool of an IP version, and return it.

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
    """Claim this very block; raises RecordError if it cannot be, and StoreError."""
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
        if block and _is_own(entry, own):
            found.append(block)
    return tuple(found)


def is_kept(store: Store, config: NetworkConfig, own: NodeRecord) -> bool:
    """Tell whether the store has all of this node; raises StoreError.

    It has if it has the record as it is, or with a later head: that is written last.
    """
    found = store.get(keys.node(config.name, own.node), stale=True)
    if found is None:
        return False
    try:
        record = NodeRecord.parse(found.value, own.node, config)
    except RecordError:
        return False
    return record.head >= own.head and replace(record, head=own.head) == own


def keep(store: Store, config: NetworkConfig, own: NodeRecord) -> Kept:
    """Write again what the store lost of this node; return what is another's by now.

    The record is written without that, so that a call that was cut off finds the same
    again. Raises as `register`, with nothing written then.
    """
    if is_kept(store, config, own):
        return Kept(own, {}, ())
    register(store, config, own)
    written = []
    if store.get(keys.config(config.name)) is None:
        with suppress(DeniedError):  # where an administrator alone may
            store.create(keys.config(config.name), config.content())
            store.create(keys.vni(config.vni), config.name.encode())
            written.append(f"configuration of network {config.name}")
    lost = {
        block: other.node
        for block in own.blocks
        if (other := _taken(store, _key(config, block), own))
    }
    if lost:
        left = tuple(block for block in own.blocks if block not in lost)
        own = replace(own, blocks=left, seq=own.seq + 1)
    put(store, config, own)
    written.append(f"record of node {own.node} in network {config.name}")
    return Kept(own, lost, tuple(written))


def leave(store: Store, config: NetworkConfig, own: NodeRecord) -> None:
    """Delete all that is this node's; raises StoreError.

    The record goes before the claims, so that others have no way to what is given back.
    """
    found = store.get(keys.node(config.name, own.node))
    is_own = found and _identity(found.value) == own.identity
    if found and is_own:
        store.delete(found.key, found.revision)
    me = claimant_of(own)
    _delete_claims(store, config, lambda who: who == me)
    if is_own or not found:
        store.delete(keys.sign(config.name, own.node))


def forget(store: Store, config: NetworkConfig, node: str) -> list[str]:
    """Delete all that is a node's; return the keys. Raises StoreError."""
    own = (keys.node(config.name, node), keys.sign(config.name, node))
    gone = [key for key in own if store.delete(key)]
    return gone + _delete_claims(store, config, lambda who: who.node == node)


def _delete_claims(
    store: Store, config: NetworkConfig, is_theirs: Callable[[Claimant], bool]
) -> list[str]:
    gone = []
    for prefix in (keys.blocks(config.name), keys.underlays(config.name)):
        for entry in store.list(prefix):
            who = _claimant(entry.value)
            if who and is_theirs(who) and store.delete(entry.key, entry.revision):
                gone.append(entry.key)
    return gone


def release(store: Store, key: str, own: NodeRecord) -> None:
    """Delete a key of this node; one of another's stays."""
    found = store.get(key)
    if found and _is_own(found, own):
        store.delete(key, found.revision)


def _claimant(value: bytes) -> Claimant | None:
    """Return who a claim names; None for what is no claim."""
    try:
        document = shapes.mapping(json_text.loads(value))
        return Claimant(**shapes.members(document, _TABLE))
    except (ValueError, RecursionError):
        return None


def _is_own(found: Entry | None, own: NodeRecord) -> bool:
    return found is not None and _claimant(found.value) == claimant_of(own)


def _taken(store: Store, key: str, own: NodeRecord) -> Claimant | None:
    """Claim a key, or return whose it is."""
    if store.create(key, claimant_of(own).content()):
        return None
    found = store.get(key)
    if found is None:  # it went in between
        return _taken(store, key, own)
    who = _claimant(found.value) or Claimant("unknown", "")
    return None if who == claimant_of(own) else who


def _key(config: NetworkConfig, block: IPNetwork) -> str:
    return keys.block(config.name, block)


def _found(store: Store, config: NetworkConfig, own: NodeRecord) -> Entry | None:
    """Return what the store has of this node; raises RecordError if another node has
    the name.
    """
    found = store.get(keys.node(config.name, own.node))
    identity = found and _identity(found.value)
    if identity and identity != own.identity:
        what = f"node {own.node} of network {config.name}"
        cause = "another node has that name: `cnipy net forget` if it is gone"
        raise RecordError(what, cause)
    return found


def _addresses(
    found: Entry | None, config: NetworkConfig, own: NodeRecord
) -> set[IPAddress]:
    """Return the underlay addresses of a record, none of what is no record."""
    with suppress(RecordError):
        if found:
            return {*NodeRecord.parse(found.value, own.node, config).underlay}
    return set()


def _identity(record: bytes) -> str:
    try:
        return shapes.text(shapes.mapping(json_text.loads(record)).get("identity"))
    except (ValueError, RecursionError):
        return ""  # what is no record is nobody's
