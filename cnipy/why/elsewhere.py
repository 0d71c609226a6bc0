# SPDX-License-Identifier: Apache-2.0
"""Containers of other nodes, by the names that these told the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.names.host_names import is_host_name
from cnipy.cluster import stored
from cnipy.net import cache, keys
from cnipy.net.names.entries import Entry
from cnipy.net.refusal import store_refusal

if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress


def addresses(word: str) -> list[IPAddress]:
    """Return the addresses of who is called `word`, with or without the domain.

    Of all networks that this node is in; none where nobody is. Raises CNIError.
    """
    found: list[IPAddress] = []
    networks = cache.joined()
    if not networks or not is_host_name(word):
        return found
    with stored.opened(stored.conf()) as store, store_refusal(f"find container {word}"):
        for network in networks:
            config = cache.Cache(network).config()
            if config is None or not config.domain:
                continue
            called = word.lower().removesuffix(f".{config.domain}")
            key = keys.container(network, called)
            entry = store.get(key)
            if entry is not None:
                found += Entry.parse(entry.value, key, config).addresses
    return found
