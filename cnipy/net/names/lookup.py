# SPDX-License-Identifier: Apache-2.0
"""What is known of a name or an address: of this node, of a moment ago, of the store.

The store is asked in threads and never waited for longer than a resolver waits. What
it said is believed for some seconds, and for longer while it is away. What is kept is
bounded, what is not there apart from what is, so that who asks for any number of names
drives nobody else's out.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from cni_common.spec.errors import CNIError
from cni_common.spec.values import NamedTuple
from cnipy.net import keys
from cnipy.net.documents import RecordError
from cnipy.net.names.entries import Entry
from cnipy.net.names.served import Served
from cnipy.net.store import StoreError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cnipy.net.names.zones import Place
    from cnipy.net.records import NetworkConfig, NodeRecord
    from cnipy.net.store import Store

FRESH, ABSENT = 5.0, 1.0  # seconds that what is, and what is not, is believed
KNOWN_MAX, ABSENT_MAX = 10_000, 1_000
PENDING_MAX = 64  # questions to the store at once
PATIENCE, STALE_PATIENCE = 2.0, 0.3  # seconds to wait for it, and if something is known
AWAY = 1.0  # seconds for which a store that is away is not asked
_THREADS = 4


class UnknownError(Exception):
    """Nobody can tell just now."""


class Found(NamedTuple):
    """What was found, None if there is nothing; `ttl` is how long that is believed."""

    entry: Entry | None
    ttl: int


class _Kept(NamedTuple):
    entry: Entry | None
    until: float


class Lookup:
    """Finds what networks have; of one event loop."""

    def __init__(
        self, store: Store, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._clock = store, clock
        self._known: OrderedDict[str, _Kept] = OrderedDict()
        self._absent: OrderedDict[str, _Kept] = OrderedDict()
        self._pending: dict[str, asyncio.Task[Entry | None]] = {}
        self._own: dict[NetworkConfig, tuple[NodeRecord, Served]] = {}
        self._away_until = 0.0
        self._threads = ThreadPoolExecutor(_THREADS, "names")
        # Its own: the others may all wait for a store that is away.
        self._files = ThreadPoolExecutor(1, "served")

    def learn(self, members: Iterable[tuple[NetworkConfig, NodeRecord]]) -> None:
        """Know networks, and as whom this node is in each; forget others."""
        former = self._own
        self._own = {
            config: (own, former[config][1] if config in former else Served(config))
            for config, own in members
        }
        beginnings = tuple(keys.network(config.name) for config in self._own)
        for kept in (self._known, self._absent):
            for key in [key for key in kept if not key.startswith(beginnings)]:
                del kept[key]

    def close(self) -> None:
        """Wait for no answer of the store any more."""
        for threads in (self._threads, self._files):
            threads.shutdown(wait=False, cancel_futures=True)

    async def find(self, place: Place) -> Found:
        """Return what there is; raises UnknownError."""
        own = await self._served(place)
        if own is not None:
            return Found(own, 0)
        key, now = _key(place), self._clock()
        kept = self._known.get(key) or self._absent.get(key)
        if kept is not None and kept.until > now:
            return Found(kept.entry, int(kept.until - now))
        if now >= self._away_until:
            wait = PATIENCE if kept is None else STALE_PATIENCE
            asking = self._asked(key, place.config)
            if asking is not None:
                with suppress(TimeoutError, StoreError):
                    entry = await asyncio.wait_for(asyncio.shield(asking), wait)
                    return Found(entry, int(FRESH) if entry else int(ABSENT))
        if kept is None or kept.entry is None:
            raise UnknownError
        return Found(kept.entry, int(ABSENT))

    async def _served(self, place: Place) -> Entry | None:
        """Return what is served on this node, whose dnsmasq asks for more of it."""
        loop, own = asyncio.get_running_loop(), self._own.get(place.config)
        if own is None:
            return None
        try:
            known = await loop.run_in_executor(self._files, own[1].known)
        except (CNIError, OSError):
            return None
        addresses = known.by_name.get(place.name, ())
        names = known.by_address.get(place.address, ()) if place.address else ()
        return Entry("", "", addresses, names) if addresses or names else None

    def _asked(
        self, key: str, config: NetworkConfig
    ) -> asyncio.Task[Entry | None] | None:
        """Return who asks the store for a key; None where too many do."""
        asking = self._pending.get(key)
        if asking is None and len(self._pending) < PENDING_MAX:
            asking = asyncio.ensure_future(self._ask(key, config))
            self._pending[key] = asking
            asking.add_done_callback(lambda done: self._ended(key, done))
        return asking

    def _ended(self, key: str, asking: asyncio.Task[Entry | None]) -> None:
        del self._pending[key]
        if not asking.cancelled():
            asking.exception()  # told to whoever waited, if anybody did

    async def _ask(self, key: str, config: NetworkConfig) -> Entry | None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._threads, lambda: self._store.get(key, stale=True)
            )
        except StoreError:
            self._away_until = self._clock() + AWAY
            raise
        entry = None
        if found is not None:
            with suppress(RecordError):  # what nobody can believe is not there
                entry = Entry.parse(found.value, key, config)
        own = self._own.get(config)
        if entry and own and entry.is_of(own[0]):
            entry = None  # its own files know better what there still is
        self._keep(key, entry)
        return entry

    def _keep(self, key: str, entry: Entry | None) -> None:
        self._known.pop(key, None)
        self._absent.pop(key, None)
        until = self._clock() + (FRESH if entry else ABSENT)
        kept, most = self._known, KNOWN_MAX
        if entry is None:
            kept, most = self._absent, ABSENT_MAX
        kept[key] = _Kept(entry, until)
        while len(kept) > most:
            kept.popitem(last=False)


def _key(place: Place) -> str:
    if place.address is not None:
        return keys.address(place.config.name, place.address)
    called = place.name.removesuffix(f".{place.zone}")
    return keys.container(place.config.name, called)
