# SPDX-License-Identifier: Apache-2.0
"""What every store does."""

from __future__ import annotations

from abc import ABC, abstractmethod

from cni_common.spec.values import dataclass
from cnipy.net.store.errors import StoreError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Self

VALUE_MAX = 1 << 20  # bytes; etcd refuses requests of 1.5 MiB
_TRIES = 10


@dataclass(frozen=True)
class Entry:
    """A key and its value; `revision` grows with every change of any key.

    One that `is_leased` goes with its lease.
    """

    key: str
    value: bytes
    revision: int
    is_leased: bool = False


@dataclass(frozen=True)
class Changes:
    """What is new of the keys that begin alike.

    `revision` is what to ask on from, `count` how many keys there are now, so that
    whoever knows others sees that some were deleted. `era` is another one where the
    store is: revisions of two eras have nothing to do with each other.
    """

    entries: tuple[Entry, ...]
    revision: int
    count: int
    era: str


class Lease(ABC):
    """A time for which keys stay; it begins again with each `keep`."""

    seconds: int

    @abstractmethod
    def keep(self) -> bool:
        """Begin the time again; false if it was over. Raises StoreError."""

    @abstractmethod
    def end(self) -> None:
        """Delete the lease's keys, if there are any still. Raises StoreError."""


class Store(ABC):
    """Keys with values. Every call raises StoreError, and AwayError if nobody answers
    within the deadline; then it may have been done nevertheless.

    One store may be used by several threads.
    """

    @abstractmethod
    def get(self, key: str, *, stale: bool = False) -> Entry | None:
        """Return an entry as it is now.

        With `stale` as it may have been a while ago, which costs the store less.
        """

    @abstractmethod
    def list(self, prefix: str, *, stale: bool = False) -> tuple[Entry, ...]:
        """Return the entries whose keys begin with `prefix`, by key, of one moment;
        `stale` is as for `get`.
        """

    def create(self, key: str, value: bytes, lease: Lease | None = None) -> int:
        """Write a key that is not there; return its revision, 0 if it is there.

        One that has this very value is there by an earlier attempt of this call, if
        that went unanswered.
        """
        _check_value(key, value)
        return self._write(key, value, 0, lease)

    def cas(
        self, key: str, value: bytes, revision: int, lease: Lease | None = None
    ) -> int:
        """Write a key that has `revision` still; return the new one, 0 if not."""
        _check_value(key, value)
        return self._write(key, value, revision, lease) if revision else 0

    @abstractmethod
    def _write(self, key: str, value: bytes, revision: int, lease: Lease | None) -> int:
        """Write a key that has `revision`, 0 for one that is not there."""

    @abstractmethod
    def delete(self, key: str, revision: int = 0) -> bool:
        """Delete a key, with `revision` only one that has it; tell whether it did."""

    @abstractmethod
    def lease(self, seconds: int) -> Lease:
        """Return a new lease, with which `create` and `cas` can write keys."""

    @abstractmethod
    def changes(self, prefix: str, since: int = 0) -> Changes:
        """Return what was written after the revision `since` below a prefix."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open; the store can still be used."""

    def put(self, key: str, value: bytes) -> int:
        """Write a key whatever it has; return its revision."""
        for _ in range(_TRIES):
            found = self.get(key)
            if found and found.value == value:
                return found.revision
            written = (
                self.cas(key, value, found.revision)
                if found
                else self.create(key, value)
            )
            if written:
                return written
        raise StoreError(f"write {key}: others write it all the time")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()


def _check_value(key: str, value: bytes) -> None:
    """Raise StoreError for a value that is too long for a store."""
    if len(value) > VALUE_MAX:
        size = len(value)
        raise StoreError(f"write {key}: {size} bytes are more than {VALUE_MAX}")
