# SPDX-License-Identifier: Apache-2.0
"""The store as the command finds it: its networks, and their nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cnipy.net import cache, keys
from cnipy.net import conf as confs
from cnipy.net.documents import RecordError
from cnipy.net.records import NetworkConfig, NodeRecord
from cnipy.net.refusal import store_refusal
from cnipy.net.store import open_store

if TYPE_CHECKING:
    from cnipy.net.conf import NetFile
    from cnipy.net.store import Store


def conf() -> NetFile:
    """Return what net.toml says; raises CNIError."""
    return confs.read()


def opened(conf: NetFile) -> Store:
    """Return the node's store; raises CNIError."""
    with store_refusal("open the store"):
        return open_store(conf.settings(), create=True)


def network(store: Store, name: str) -> NetworkConfig:
    """Return the configuration of a network that the store has.

    Raises CNIError for one that is none, and where there is none, saying which are.
    """
    with store_refusal(f"read network {name}"):
        found = store.get(keys.config(name))
        if found is None:
            known = " ".join(sorted(networks(store))) or "none"
            msg = f"read network {name}: the store has no such network"
            raise CNIError(Code.INVALID_CONFIG, msg, f"it has {known}")
        return NetworkConfig.parse(found.value, name)


def networks(store: Store) -> dict[str, NetworkConfig]:
    """Return the networks of the store by name, those that are to be believed.

    Raises StoreError.
    """
    found = {}
    for entry in store.list(keys.vnis()):
        name = entry.value.decode(errors="replace")
        held = store.get(keys.config(name))
        try:
            config = held and NetworkConfig.parse(held.value, name)
        except RecordError:
            continue
        if config:
            found[name] = config
    return found


def nodes(
    store: Store, config: NetworkConfig
) -> tuple[dict[str, NodeRecord], list[str]]:
    """Return the nodes of a network by name, and why others are not to be believed.

    Raises StoreError.
    """
    found, refused = {}, []
    for entry in store.list(keys.nodes(config.name)):
        name = entry.key.removeprefix(keys.nodes(config.name))
        try:
            found[name] = NodeRecord.parse(entry.value, name, config)
        except RecordError as error:
            refused.append(str(error))
    return found, refused


def joined(name: str | None) -> str:
    """Return the network that is meant: `name`, or the one that this node has joined.

    Raises Code.INVALID_CONFIG where that is none, or where there are several.
    """
    there = cache.joined()
    listed = " ".join(there) or "none"
    if name is not None and name not in there:
        msg = f"find network {name:.80}: this node has not joined it"
        raise CNIError(Code.INVALID_CONFIG, msg, f"it has joined {listed}")
    if name is None and len(there) != 1:
        msg = "find the network: " + (
            "there are several" if there else "none is joined"
        )
        hint = f"--network names one: {listed}" if there else "`cnipy net join NETWORK`"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)
    return name or there[0]


def chosen(store: Store, name: str | None) -> list[NetworkConfig]:
    """Return the network `name` of the store, or all of them; raises CNIError."""
    if name is not None:
        return [network(store, name)]
    with store_refusal("list networks"):
        return [config for _, config in sorted(networks(store).items())]
