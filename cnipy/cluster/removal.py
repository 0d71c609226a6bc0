# SPDX-License-Identifier: Apache-2.0
"""`cnipy net rm` and `forget`: what the store has of those that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cnipy.cluster import stored
from cnipy.net import keys
from cnipy.net.agent.entry import node_name
from cnipy.net.membership import claims, removed
from cnipy.net.names import announcer
from cnipy.net.refusal import store_refusal

if TYPE_CHECKING:
    from cnipy.net.records import NetworkConfig

_SHOWN = 5


def remove(name: str) -> None:
    """Delete all of the network in the store; raises CNIError if a node is in it."""
    with stored.opened(stored.conf()) as store:
        config = stored.network(store, name)
        with store_refusal(f"remove network {name}"):
            there = store.list(keys.nodes(name))
            if there:
                nodes = [e.key.removeprefix(keys.nodes(name)) for e in there]
                more = ["..."] if len(nodes) > _SHOWN else []
                msg = f"remove network {name}: {len(nodes)} nodes are in it"
                hint = f"{' '.join([*nodes[:_SHOWN], *more])}; `cnipy net leave` there"
                raise CNIError(Code.INVALID_CONFIG, msg, hint)
            removed.mark(store, config)
            # The configuration goes last, by which a call that was cut off is found.
            last = keys.config(name)
            for entry in store.list(keys.network(name)):
                if entry.key != last:
                    store.delete(entry.key)
            found = store.get(keys.vni(config.vni))
            if found and found.value == name.encode():
                store.delete(found.key, found.revision)
            store.delete(last)


def forget(node: str, network: str | None) -> list[str]:
    """Delete all of a node in the store, so that others have no ways to it; return
    which keys went.

    Raises CNIError where it is this node, or no network has it.
    """
    conf = stored.conf()
    if node == node_name(conf):
        msg = f"forget node {node}: it is this one"
        raise CNIError(Code.INVALID_CONFIG, msg, "`cnipy net leave NETWORK`")
    gone = []
    with stored.opened(conf) as store, store_refusal(f"forget node {node:.80}"):
        for config in stored.chosen(store, network):
            nodes, _ = stored.nodes(store, config)
            if node in nodes:
                announcer.forget(store, config, nodes[node])
            gone += claims.forget(store, config, node)
        if not gone:
            msg = f"forget node {node:.80}: no network has it"
            raise CNIError(
                Code.INVALID_CONFIG, msg, _known(stored.chosen(store, network))
            )
    return gone


def _known(configs: list[NetworkConfig]) -> str:
    names = " ".join(each.name for each in configs) or "none"
    return f"networks: {names}; `cnipy net blocks` names their nodes"
