# SPDX-License-Identifier: Apache-2.0
"""How a node comes into a network, takes and loses blocks, and goes.

At each instant that it may be cut off at, what the disk has is enough to go on.
"""

from __future__ import annotations

import os
import socket

from cni_common.pool import pod_cidr
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import replace
from cnipy.net import dataplane, keys, underlay
from cnipy.net.agent import guard, holding, salvage
from cnipy.net.documents import RecordError
from cnipy.net.membership import claims
from cnipy.net.names import announcer
from cnipy.net.records import NodeRecord, is_label, new_identity
from cnipy.net.store import AwayError, StoreError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.fields import IPNetwork
    from cnipy.net.cache import Cache
    from cnipy.net.conf import NetFile
    from cnipy.net.dataplane import Facts
    from cnipy.net.membership.claims import Kept
    from cnipy.net.records import NetworkConfig
    from cnipy.net.store import Store


def node_name(conf: NetFile) -> str:
    """Return what this node is called; raises Code.INVALID_CONFIG for no label."""
    name = conf.node or socket.gethostname().partition(".")[0].lower()
    if not is_label(name):
        msg = f"be node {name!r:.80}: no label of the DNS in lower case"
        raise CNIError(Code.INVALID_CONFIG, msg, "`node` in net.toml names it")
    return name


def enter(
    store: Store, cache: Cache, conf: NetFile, config: NetworkConfig
) -> tuple[NodeRecord, Facts]:
    """Join the network with a block of each family; twice is as good.

    The lock of `cache` is held. Raises CNIError, RecordError and StoreError, and then
    the node is not in it, unless it was before; AwayError, and a further call goes on.
    """
    own = cache.own(config)
    begun = own or _new(conf, config)
    try:
        return _entered(store, cache, config, begun)
    except AwayError:
        raise
    except (CNIError, RecordError, StoreError):
        if own is None:
            _undo(store, cache, config, begun)
        raise


def _entered(
    store: Store, cache: Cache, config: NetworkConfig, own: NodeRecord
) -> tuple[NodeRecord, Facts]:
    facts = dataplane.prepare(config, own)
    own = replace(own, mac=facts.mac, key=facts.key)
    cache.keep_config(config)
    cache.keep_own(own)
    claims.register(store, config, own)
    own = with_claimed(store, cache, config, own)
    for pool in config.pools:
        version = pool.network.version
        if not any(block.version == version for block in own.blocks):
            own = claim(store, cache, config, own, version)
    holding.write(config, own)
    guard.ensure(config)
    claims.put(store, config, own)
    return own, dataplane.prepare(config, own)


def _undo(store: Store, cache: Cache, config: NetworkConfig, own: NodeRecord) -> None:
    """Remove all of a node that could not come in, as far as the store lets it.

    Raises AwayError: what is claimed, the disk says until it is given back.
    """
    try:
        claims.leave(store, config, own)
    except AwayError:
        raise
    except StoreError:
        pass  # it did not let the node in either
    dataplane.remove(config)
    guard.remove(config)
    cache.remove()


def claim(
    store: Store, cache: Cache, config: NetworkConfig, own: NodeRecord, version: int
) -> NodeRecord:
    """Return the node's record with one block more of a family, which the disk has.

    Raises CNIError for a podCIDR that is none, RecordError where there is no block,
    StoreError.
    """
    given = _of_pod_cidrs(cache.pod_cidrs(), version)
    if given:
        block = next((each for each in given if each not in own.blocks), None)
        if block is None:
            what = f"network {config.name}"
            raise RecordError(what, f"the node's podCIDR {given[0]} is all that it has")
        claims.claim_block(store, config, own, block)
    else:
        block = claims.claim(store, config, own, version)
    claimed = replace(own, blocks=(*own.blocks, block), seq=own.seq + 1)
    try:
        cache.keep_own(claimed)
    except CNIError:  # as on a full disk: each further try would take one more
        claims.release(store, keys.block(config.name, block), own)
        raise
    return claimed


def lacks_spare(
    cache: Cache, config: NetworkConfig, own: NodeRecord, version: int
) -> bool:
    """Tell whether the node is to claim a spare block of a family: not where Kubernetes
    gave it its own. The lock of `cache` is held, for a plugin may have asked for one
    meanwhile. Raises CNIError.
    """
    given = _of_pod_cidrs(cache.pod_cidrs(), version)
    may_have_more = not given or any(each not in own.blocks for each in given)
    return may_have_more and version in holding.lacks_spare(config, own)


def keep(store: Store, cache: Cache, config: NetworkConfig, own: NodeRecord) -> Kept:
    """Ensure that the store has all of this node; blocks that are others' by now are
    unusable, and no way leads here for them.

    The lock of `cache` is held. Raises CNIError, RecordError, StoreError.
    """
    kept = claims.keep(store, config, own)
    if kept.lost:
        holding.write(config, own, kept.lost)
        cache.keep_own(kept.own)
    return kept


def leave(store: Store | None, cache: Cache) -> tuple[list[str], bool]:
    """Remove all of the network from this node; return what is gone, and whether that
    is so of what the store has of the node.

    It is not without a store, and where the node's record is damaged: others keep their
    ways to it. The lock of `cache` is held. Raises CNIError, RecordError, StoreError;
    called again, it goes on. Containers that have addresses are Code.INVALID_CONFIG,
    with nothing changed.
    """
    config = salvage.config(store, cache)
    own = salvage.own(cache, config)
    holding.remove(config.name, own)
    if own is not None and store is not None:
        announcer.forget(store, config, own)
        claims.leave(store, config, own)
    dataplane.remove(config)
    guard.remove(config)
    cache.remove()
    gone = [f"device of {config.name}, and its routes"]
    gone += [f"block {each}" for each in (own.blocks if own else ())]
    return gone, own is not None and store is not None


def moved(conf: NetFile, config: NetworkConfig, own: NodeRecord) -> NodeRecord | None:
    """Return the record with the underlay addresses that the node has by now, None
    where they are those that it says.

    Those it has as long as the host has them. Raises CNIError where it has none, and
    RecordError where the network needs another family.
    """
    addresses = underlay.found(conf.underlay, config, own.underlay)
    if addresses == own.underlay:
        return None
    fresh = replace(own, underlay=addresses, seq=own.seq + 1)
    return NodeRecord.of(fresh.document(), fresh.node, config)


def _new(conf: NetFile, config: NetworkConfig) -> NodeRecord:
    return NodeRecord(
        node=node_name(conf),
        underlay=underlay.found(conf.underlay, config),
        identity=new_identity(),
    )


def with_claimed(
    store: Store, cache: Cache, config: NetworkConfig, own: NodeRecord
) -> NodeRecord:
    """Return the record with blocks that were claimed by a call that was cut off.

    All claims are read. The lock of `cache` is held. Raises CNIError, StoreError.
    """
    found = [b for b in claims.held(store, config, own) if b not in own.blocks]
    if found:
        own = replace(own, blocks=(*own.blocks, *found), seq=own.seq + 1)
        cache.keep_own(own)
        holding.write(config, own)
    return own


def _of_pod_cidrs(words: tuple[str, ...], version: int) -> tuple[IPNetwork, ...]:
    """Return the blocks of a family that the node is told to have; raises CNIError."""
    found: list[IPNetwork] = []
    for word in words:
        if os.path.isabs(word):
            found += pod_cidr.of_file(word).blocks
            continue
        try:
            found += pod_cidr.of_text(word)
        except ValueError as error:
            msg = f"read podCIDR {word:.80}: {error}"
            raise CNIError(Code.INVALID_CONFIG, msg) from error
    return tuple(block for block in found if block.version == version)
