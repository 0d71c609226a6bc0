# SPDX-License-Identifier: Apache-2.0
"""Nodes that gave no sign of life for a time that the network's `forget_after` says.

A sign is a key that changes. Who publishes measures by its own clock how long ago that
was, from when it began itself: a node may be forgotten late, and never early.
"""

from __future__ import annotations

from cnipy.net import keys
from cnipy.net.membership import claims, removed
from cnipy.net.names import announcer
from cnipy.net.store.mirror import Mirror

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cnipy.net.records import NetworkConfig, NodeRecord
    from cnipy.net.store import Store

_SIGNS = 8  # of life, in the time after which a node is forgotten


class Sign:
    """A node's sign of life."""

    def __init__(
        self, store: Store, config: NetworkConfig, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._given: float | None = None
        self._count = 0

    def turn(self, own: NodeRecord) -> None:
        """Give a sign if it is time for one.

        Raises StoreError, and RecordError where the network was removed.
        """
        pace = self._config.forget_after / _SIGNS
        now = self._clock()
        if not pace or (self._given is not None and now - self._given < pace):
            return
        removed.refuse(self._store, self._config)
        # One of before a restart is another one, too.
        sign = f"{own.identity} {self._count} {now}".encode()
        self._store.put(keys.sign(self._config.name, own.node), sign)
        self._count += 1
        self._given = now


class Forgetting:
    """What the publisher knows of signs."""

    def __init__(
        self, store: Store, config: NetworkConfig, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._signs = Mirror(store, keys.signs(config.name))
        self._looked: float | None = None
        self._since: dict[str, tuple[bytes, float]] = {}

    def turn(
        self, nodes: Iterable[str], records: Mapping[str, NodeRecord]
    ) -> list[str]:
        """Forget those of `nodes` that gave no sign for too long, and return them; with
        the names of their containers, where `records` has the node.

        Raises StoreError: DeniedError where nodes may not write what is another's.
        """
        longest = self._config.forget_after
        now = self._clock()
        early = self._looked is not None and now - self._looked < longest / _SIGNS
        if not longest or early:
            return []
        self._looked = now
        self._signs.refresh()
        since = {}
        for node in nodes:
            sign = self._signs.values.get(keys.sign(self._config.name, node), b"")
            known = self._since.get(node)
            since[node] = known if known and known[0] == sign else (sign, now)
        self._since = since
        dead = sorted(node for node, (_, at) in since.items() if now - at > longest)
        for node in dead:
            if node in records:
                announcer.forget(self._store, self._config, records[node])
            claims.forget(self._store, self._config, node)
        return dead
