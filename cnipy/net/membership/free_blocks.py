# SPDX-License-Identifier: Apache-2.0
"""Blocks of a pool that nobody may have."""

from __future__ import annotations

import random

from cnipy.net import keys

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.spec.fields import IPNetwork
    from cnipy.net.records import NetworkConfig, Pool
    from cnipy.net.store import Store

_TRIES = 16  # blocks at random; where all are taken, the free ones are looked for


def candidates(store: Store, config: NetworkConfig, pool: Pool) -> Iterator[IPNetwork]:
    """Yield blocks that may be free: some at random, then those that are."""
    blocks = count(pool)
    for _ in range(min(_TRIES, blocks)):
        yield _numbered(pool, random.randrange(blocks))  # noqa: S311 - no secret
    claimed = {
        int(block.network_address) - int(pool.network.network_address)
        for entry in store.list(keys.blocks(config.name))
        if (block := keys.block_of(config.name, entry.key))
        and block.version == pool.network.version
        and block.prefixlen == pool.block
    }
    size = 1 << (pool.network.max_prefixlen - pool.block)
    taken = {offset // size for offset in claimed}
    first = random.randrange(blocks)  # noqa: S311 - no secret
    # Of the first that are free one cannot be far: there are as many claims at most.
    for number in range(blocks):
        place = (first + number) % blocks
        if place not in taken:
            yield _numbered(pool, place)


def count(pool: Pool) -> int:
    """Return how many blocks a pool has."""
    return 1 << (pool.block - pool.network.prefixlen)


def _numbered(pool: Pool, number: int) -> IPNetwork:
    size = 1 << (pool.network.max_prefixlen - pool.block)
    address = int(pool.network.network_address) + number * size
    return type(pool.network)((address, pool.block))
