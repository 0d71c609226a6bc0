# SPDX-License-Identifier: Apache-2.0
"""What changes of a network and of this node while it is in there, and what cannot."""

from __future__ import annotations

from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import replace
from cnipy.net import keys, underlay
from cnipy.net.membership import claims
from cnipy.net.records import NetworkConfig

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cnipy.net.cache import Cache
    from cnipy.net.conf import NetFile
    from cnipy.net.records import NodeRecord
    from cnipy.net.store import Store

# What devices, routes and lists of nodes that are there already are made of.
_FIXED = ("backend", "vni", "port", "domain", "mtu", "policy")


def of_network(store: Store, config: NetworkConfig) -> NetworkConfig:
    """Return the network as the store has it by now, if a node can follow.

    Raises Code.INVALID_CONFIG, naming it, for what would take from containers what they
    have; RecordError and StoreError.
    """
    found = store.get(keys.config(config.name), stale=True)
    if found is None or found.value == config.content():
        return config
    fresh = NetworkConfig.parse(found.value, config.name)
    cause = _differs(config, fresh)
    if cause:
        msg = f"follow network {config.name}: {cause}"
        hint = f"`cnipy net leave {config.name}` and join, for it to count here"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)
    return fresh


def _differs(config: NetworkConfig, fresh: NetworkConfig) -> str:
    """Return which change a node cannot follow, or nothing."""
    for key in _FIXED:
        was, now = getattr(config, key), getattr(fresh, key)
        if was != now:
            return f"{key} was {was!r}, and is {now!r} in the store"
    if config.pools == fresh.pools:
        return ""
    was, now = (
        " and ".join(f"{pool.network} in blocks of /{pool.block}" for pool in each)
        for each in (config.pools, fresh.pools)
    )
    return f"the pool {was} has become {now}"


def of_node(
    store: Store, cache: Cache, conf: NetFile, config: NetworkConfig, own: NodeRecord
) -> NodeRecord:
    """Return this node's record with the underlay addresses that it has by now.

    Raises CNIError where it has none; RecordError where one is another's; StoreError.
    """
    found = underlay.found(conf.underlay, config)
    if found == own.underlay:
        return own
    fresh = replace(own, underlay=found, seq=own.seq + 1)
    claims.register(store, config, fresh)
    cache.keep_own(fresh)
    claims.put(store, config, fresh)
    for address in {*own.underlay} - {*found}:
        claims.release(store, keys.underlay(config.name, address), own)
    return fresh
