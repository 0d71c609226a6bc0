# SPDX-License-Identifier: Apache-2.0
"""Which changes of a network a node follows that is in there, and which it cannot."""

from __future__ import annotations

from cni_common.spec.errors import CNIError, Code
from cnipy.net.documents import RecordError
from cnipy.net.records import NetworkConfig, NodeRecord

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cnipy.net.store import Entry

# What devices, routes and lists of nodes that are there already are made of.
_FIXED = ("backend", "vni", "port", "domain", "mtu", "policy")


def of_network(
    config: NetworkConfig, own: NodeRecord, found: Entry | None
) -> NetworkConfig:
    """Return the network as the store has it by now, in `found`.

    Raises Code.INVALID_CONFIG, naming it, for what would take from containers or from
    this node what they have, and RecordError.
    """
    if found is None or found.value == config.content():
        return config
    fresh = NetworkConfig.parse(found.value, config.name)
    cause = _differs(config, fresh) or _lost(own, fresh)
    if cause:
        msg = f"follow network {config.name}: {cause}"
        hint = f"`cnipy net leave {config.name}` and join, for it to count here"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)
    return fresh


def _lost(own: NodeRecord, fresh: NetworkConfig) -> str:
    """Return what this node has and could not have in the network, or nothing."""
    try:
        NodeRecord.of(own.document(), own.node, fresh)
    except RecordError as error:
        return error.cause
    return ""


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
