# SPDX-License-Identifier: Apache-2.0
"""The names of this node's containers, told to the store.

A key is written only where nobody has it: a name that lives on another node stays that
node's. What may have been written is noted before, in one key of the node, so that
after any end of the agent, or of the node, it is found and taken away. As long as the
store has that note as it was written last, it has what was written before, too: a store
that was put back is known by one question, whatever the number of names.
"""

from __future__ import annotations

import time

from cni_common.spec.errors import CNIError
from cnipy.net import keys
from cnipy.net.documents import RecordError
from cnipy.net.membership import removed
from cnipy.net.names import entries
from cnipy.net.names.entries import Entry
from cnipy.net.names.served import Served
from cnipy.net.store import AwayError, StoreError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from cnipy.net.records import NetworkConfig, NodeRecord
    from cnipy.net.store import Store

RETRY = 5.0  # seconds until a store that was away is asked again
CONFLICT = 30.0  # seconds until a name that another node has is asked for again
_TRIES = 10
AGAIN = 600.0  # seconds between two looks whether the store has lost it


class Announcer:
    """Has the store know what this node serves of one network."""

    def __init__(
        self,
        store: Store,
        config: NetworkConfig,
        own: NodeRecord,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._config, self._own = store, config, own
        self._served = Served(config)
        self._clock = clock
        self._there: dict[str, bytes] = {}  # what we wrote, as far as we know
        self._noted: frozenset[str] | None = None  # what may be there
        self._note_revision = 0  # of the note in the store, 0 for none
        self._taken: dict[str, str] = {}  # key -> which other node has it
        self._not_before = self._contest = 0.0
        self._failure = ""
        self._again = clock() + AGAIN

    def turn(self) -> list[str]:
        """Have the store know what is served by now; return what is to be told of it.

        Cheap where nothing changed. A store that is away is asked again some seconds
        later; that it is, is the follower's to tell.
        """
        now = self._clock()
        if now < self._not_before or not self._config.domain:
            return []
        told, failure = list[str](), ""
        try:
            told = self._follow(self._wanted(), now)
        except AwayError:
            self._not_before = now + RETRY
            return []
        except (StoreError, RecordError) as error:
            failure = f"tell the store of names: {error}"
        except CNIError as error:
            failure = f"read names of this node: {error.msg}"
        if failure:
            self._not_before = now + RETRY
            told += [failure] if failure != self._failure else []
        self._failure = failure
        return told

    def _wanted(self) -> dict[str, bytes]:
        """Return what the store should have of this node."""
        known, name = self._served.known(), self._config.name
        of = (self._own.node, self._own.identity)
        suffix = len(self._config.domain) + 1
        found = {
            keys.container(name, called[:-suffix]): Entry(*of, addresses=addresses)
            for called, addresses in known.by_name.items()
        }
        found |= {
            keys.address(name, address): Entry(*of, names=names)
            for address, names in known.by_address.items()
        }
        return {key: entry.content() for key, entry in found.items()}

    def _follow(self, wanted: dict[str, bytes], now: float) -> list[str]:
        if self._noted is None or now >= self._again:
            self._read_note()
            self._again = now + AGAIN
        assert self._noted is not None
        if now >= self._contest:
            contested: dict[str, str] = {}
        else:
            contested = self._taken
        new = {
            key: value
            for key, value in wanted.items()
            if self._there.get(key) != value and key not in contested
        }
        gone = [key for key in self._noted if key not in wanted]
        for key in [key for key in self._taken if key not in wanted]:
            del self._taken[key]
        if not new and not gone:
            return []
        removed.refuse(self._store, self._config)
        self._note(self._noted | new.keys())
        for key in gone:
            _withdraw(self._store, self._config, key, self._own)
            self._there.pop(key, None)
        told = self._write(new, now)
        self._note(frozenset(self._there))
        return told

    def _write(self, new: dict[str, bytes], now: float) -> list[str]:
        told = []
        for key, value in new.items():
            holder = self._claimed(key, value)
            if not holder:
                self._there[key] = value
                self._taken.pop(key, None)
                continue
            self._contest = now + CONFLICT
            if self._taken.get(key) != holder:
                name = key.removeprefix(keys.names(self._config.name))
                text = f"{name}.{self._config.domain} is of {holder}"
                told.append(f"{text}: other nodes do not find this node's by it")
            self._taken[key] = holder
        return told

    def _claimed(self, key: str, value: bytes) -> str:
        """Write a key that nobody else has; return who has it, or nothing."""
        for _ in range(_TRIES):
            if self._store.create(key, value):
                return ""
            found = self._store.get(key)
            if found is None:
                continue
            holder = self._holder(key, found.value)
            if holder:
                return holder
            if found.value == value or self._store.cas(key, value, found.revision):
                return ""
        raise StoreError(f"write {key}: others write it all the time")

    def _holder(self, key: str, value: bytes) -> str:
        """Return which other node has a key, or nothing if this one may have it."""
        # An address of a container here lies in a block that is this node's by now.
        if key.startswith(keys.addresses(self._config.name)):
            return ""
        try:
            entry = Entry.parse(value, key, self._config)
        except RecordError as error:
            return f"nobody who can be believed ({error.cause})"
        return "" if entry.is_of(self._own) else f"node {entry.node}"

    @property
    def _note_key(self) -> str:
        return keys.named(self._config.name, self._own.node)

    def _read_note(self) -> None:
        """Know what may be there; where it is another note, nothing is known to be."""
        found = self._store.get(self._note_key)
        revision = found.revision if found else 0
        if self._noted is None or revision != self._note_revision:
            self._there = {}
            self._noted = frozenset(entries.keys_of(found.value) if found else ())
        self._note_revision = revision

    def _note(self, every: frozenset[str]) -> None:
        if every == self._noted:
            return
        if every:
            content = entries.note(sorted(every), self._own)
            self._note_revision = self._store.put(self._note_key, content)
        else:
            self._store.delete(self._note_key)
            self._note_revision = 0
        self._noted = every


def forget(store: Store, config: NetworkConfig, node: NodeRecord) -> None:
    """Have no name of `node` in the store: for a node that leaves, or is given up.

    Raises StoreError; to be repeated then.
    """
    key = keys.named(config.name, node.node)
    found = store.get(key)
    for written in entries.keys_of(found.value) if found else ():
        _withdraw(store, config, written, node)
    store.delete(key)


def _withdraw(store: Store, config: NetworkConfig, key: str, owner: NodeRecord) -> None:
    """Delete a key that `owner` wrote; another's stays."""
    if not key.startswith((keys.names(config.name), keys.addresses(config.name))):
        return
    found = store.get(key)
    if found is None:
        return
    try:
        is_own = Entry.parse(found.value, key, config).is_of(owner)
    except RecordError:
        return
    if is_own:
        store.delete(key, found.revision)
