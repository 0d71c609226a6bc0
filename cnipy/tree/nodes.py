# SPDX-License-Identifier: Apache-2.0
"""The other nodes of a network, as a picture shows them below what is attached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError
from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 24  # of thousands


class Nodes(NamedTuple):
    """The other nodes of a network: a card of lines each, and how many have none."""

    network: str
    cards: list[list[str]]
    more: int

    def title(self) -> str:
        """Return what stands above them."""
        beyond = f", {self.more} of them not drawn" if self.more else ""
        return f"{self.network}: {len(self.cards) + self.more} other nodes{beyond}"


def others(networks: Iterable[str]) -> list[Nodes]:
    """Return the other nodes of those networks that this node shares with some."""
    from cnipy.net.cache import Cache, joined  # noqa: PLC0415 - few nodes share one

    found = []
    for name in joined():
        if name not in networks:
            continue
        cache = Cache(name)
        try:
            config = cache.config()
            peers = (cache.peers(config) if config else None) or {}
        except CNIError:  # `cnipy net status` tells of it
            continue
        cards = [
            [f"node {node}", *map(str, record.underlay), *map(str, record.blocks[:1])]
            for node, record in sorted(peers.items())
        ]
        if cards:
            found.append(Nodes(name, cards[:_MOST], len(cards[_MOST:])))
    return found
