# SPDX-License-Identifier: Apache-2.0
"""A directory as a store: for tests, and for machines that share a file system.

A key is a file, exchanged as a whole. Whoever reads or writes more than one holds a
lock, which NFS passes on to its server; and directories are opened anew each time, so
that NFS asks it whether they are as they were (close-to-open): it would say for a
minute that a key is not there which another machine has just made. Times are those of
the file system: its server has one clock.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress

from cni_common import shapes, trusted_path
from cni_common.own_files import DIRECTORY
from cni_common.shapes import REQUIRED
from cni_common.spec import json_text
from cni_common.spec.errors import cause_of
from cnipy.net.store.errors import AwayError, StoreError
from cnipy.net.store.files import content_of, sync
from cnipy.net.store.interface import Changes, Entry, Lease, Store

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ERA, _LOCK, _REVISION, _CLOCK, _DRAFT = "era", "lock", "revision", "clock", "draft"
_KEYS, _LEASES = "keys", "leases"
_LEAF = "="  # before the last part of a key, whose others are directories
_PART_MAX = 254  # bytes of a file's name, without that
_DEADLINE = 5.0  # seconds
_PAUSE = 0.005  # seconds
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FileStore(Store):
    """The keys in `directory`, which belongs to this user alone.

    With `create`, a directory that is no store becomes one; otherwise that is as if the
    store were away, since a file system that is not mounted leaves one. `clock` is for
    leases, in seconds. Raises StoreError.
    """

    def __init__(
        self,
        directory: str,
        *,
        create: bool = False,
        clock: Callable[[], float] | None = None,
        deadline: float = _DEADLINE,
    ) -> None:
        self._directory = directory
        self._clock = clock or self._time_of_files
        self._deadline = deadline
        if create:
            self._make()

    def get(self, key: str, *, stale: bool = False) -> Entry | None:
        del stale  # it costs no less
        with self._seam(f"read {key}"):
            self._era()
            return self._read(key, self._file(key))

    def list(self, prefix: str, *, stale: bool = False) -> tuple[Entry, ...]:
        del stale  # it costs no less
        return self.changes(prefix).entries

    def delete(self, key: str, revision: int = 0) -> bool:
        with self._seam(f"delete {key}"), self._locked():
            found = self._read(key, self._file(key))
            if not found or (revision and found.revision != revision):
                return False
            self._next_revision()
            os.unlink(self._file(key))
            sync(os.path.dirname(self._file(key)))
            return True

    def lease(self, seconds: int) -> Lease:
        lease = _FileLease(self, os.urandom(8).hex(), seconds)
        with self._seam("make a lease"), self._locked():
            for name in os.listdir(self._path(_LEASES)):
                if not self._is_kept(name):
                    os.unlink(self._path(_LEASES, name))
            self._exchange(self._path(_LEASES, lease.name), self._until(seconds))
        return lease

    def changes(self, prefix: str, since: int = 0) -> Changes:
        with self._seam(f"list {prefix}"), self._locked(fcntl.LOCK_SH) as era:
            every = sorted(self._below(prefix), key=lambda each: each.key)
            revision = self._revision()
        new = tuple(each for each in every if each.revision > since)
        return Changes(new, revision, len(every), era)

    def close(self) -> None:
        pass  # nothing is open between calls

    def _write(self, key: str, value: bytes, revision: int, lease: Lease | None) -> int:
        name = lease.name if isinstance(lease, _FileLease) else ""
        with self._seam(f"write {key}"), self._locked():
            found = self._read(key, self._file(key))
            if (found.revision if found else 0) != revision:
                return 0
            if name and not self._is_kept(name):
                raise StoreError(f"write {key}: its lease is over")
            number = self._next_revision()
            head = json_text.dumps({"revision": number, "lease": name})
            self._exchange(self._file(key), f"{head}\n".encode() + value)
            return number

    def _make(self) -> None:
        with self._seam("make the store"):
            os.close(trusted_path.open_directory(self._directory, create=True))
            os.chmod(self._directory, 0o700)
            for name in (_KEYS, _LEASES):
                os.makedirs(self._path(name), mode=0o700, exist_ok=True)
            for name in (_LOCK, _CLOCK, _REVISION):
                with suppress(FileExistsError):
                    os.close(os.open(self._path(name), _NEW, 0o600))
            with self._alone():
                if not os.path.lexists(self._path(_ERA)):
                    # Last: with it, the store is there.
                    self._exchange(self._path(_ERA), os.urandom(16).hex().encode())

    def _path(self, *parts: str) -> str:
        return os.path.join(self._directory, *parts)

    def _file(self, key: str) -> str:
        parts = key.strip("/").split("/")
        for part in parts:
            too_long = len(part.encode()) > _PART_MAX
            if part in {"", ".", ".."} or part.startswith(_LEAF) or too_long:
                raise StoreError(f"{key!r:.300} is no key of a store in files")
        return self._path(_KEYS, *parts[:-1], f"{_LEAF}{parts[-1]}")

    def _below(self, prefix: str) -> Iterator[Entry]:
        """Yield the entries whose keys begin with `prefix`."""
        top = prefix.rpartition("/")[0]
        start = os.path.dirname(self._file(f"{top}/x"))
        with suppress(FileNotFoundError, NotADirectoryError):
            self._open_down_to(start)
        for directory, deeper, files in os.walk(start):
            inside = os.path.relpath(directory, self._path(_KEYS))
            below = [(each, f"/{inside}/{each}/") for each in deeper]
            deeper[:] = [
                each
                for each, key in below
                if key.startswith(prefix) or prefix.startswith(key)
            ]
            for name in files:
                key = f"/{inside}/{name.removeprefix(_LEAF)}"
                if name.startswith(_LEAF) and key.startswith(prefix):
                    found = self._read(key, os.path.join(directory, name))
                    if found:
                        yield found

    def _read(self, key: str, path: str) -> Entry | None:
        try:
            self._open_down_to(os.path.dirname(path))
            content = content_of(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        head, _, value = content.partition(b"\n")
        try:
            found = shapes.members(shapes.mapping(json_text.loads(head)), _HEAD)
        except (ValueError, RecursionError) as error:
            msg = f"read {path}: {error}: it is damaged; remove it, and its owner "
            raise StoreError(f"{msg}writes it again") from error
        if found["lease"] and not self._is_kept(found["lease"]):
            return None
        return Entry(key, value, found["revision"], bool(found["lease"]))

    def _open_down_to(self, path: str) -> None:
        """Have each directory on the way to one of the store, and that, opened once."""
        full = self._directory
        for part in os.path.relpath(path, full).split("/"):
            full = os.path.join(full, part)
            os.close(os.open(full, DIRECTORY))

    def _exchange(self, path: str, content: bytes) -> None:
        """Write a file whole or not at all, also if power fails. The lock is held."""
        directory, draft = os.path.dirname(path), self._path(_DRAFT)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):  # as it mostly is; a call was killed else
            os.unlink(draft)
        with open(os.open(draft, _NEW, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, path)
        sync(directory)

    def _revision(self) -> int:
        text = content_of(self._path(_REVISION)).decode("ascii", "replace") or "0"
        if not text.isdecimal():
            path = self._path(_REVISION)
            raise StoreError(f"read {path}: {text!r:.40} is no number: it is damaged")
        return int(text)

    def _next_revision(self) -> int:
        number = self._revision() + 1
        self._exchange(self._path(_REVISION), str(number).encode())
        return number

    def _era(self) -> str:
        try:
            return content_of(self._path(_ERA)).decode("ascii", "replace")
        except FileNotFoundError:
            msg = "it is no store: perhaps it is not mounted"
            raise AwayError("read it", [f"{self._directory}: {msg}"]) from None

    def _until(self, seconds: int) -> bytes:
        now = self._clock()
        return json_text.dumps({"from": now, "until": now + seconds}).encode()

    def _is_kept(self, name: str) -> bool:
        try:
            document = json_text.loads(content_of(self._path(_LEASES, name)))
            # One from the future was made before the clock was set back.
            return bool(document["from"] <= self._clock() < document["until"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False

    def keep(self, name: str, seconds: int) -> bool:
        """Begin a lease's time again; false if it was over."""
        with self._seam("keep a lease"), self._locked():
            if not self._is_kept(name):
                return False
            self._exchange(self._path(_LEASES, name), self._until(seconds))
            return True

    def end(self, name: str) -> None:
        """End a lease, and with it its keys."""
        with self._seam("end a lease"), self._locked():
            self._next_revision()
            with suppress(FileNotFoundError):
                os.unlink(self._path(_LEASES, name))

    def _time_of_files(self) -> float:
        path = self._path(_CLOCK)
        os.utime(path)
        return os.stat(path).st_mtime

    @contextmanager
    def _locked(self, how: int = fcntl.LOCK_EX) -> Iterator[str]:
        """Hold the lock of a store that is there, and give its era."""
        era = self._era()
        with self._alone(how):
            yield era

    @contextmanager
    def _alone(self, how: int = fcntl.LOCK_EX) -> Iterator[None]:
        fd = os.open(self._path(_LOCK), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            until = time.monotonic() + self._deadline
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(fd, how | fcntl.LOCK_NB)
                    break
                if time.monotonic() >= until:
                    held = f"{self._path(_LOCK)}: somebody holds it all the time"
                    raise AwayError("lock it", [held])
                time.sleep(_PAUSE)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def _seam(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            cause = f"{self._directory}: {cause_of(error)}"
            raise AwayError(doing, [cause]) from error


class _FileLease(Lease):
    def __init__(self, store: FileStore, name: str, seconds: int) -> None:
        self._store = store
        self.name = name
        self.seconds = seconds

    def keep(self) -> bool:
        return self._store.keep(self.name, self.seconds)

    def end(self) -> None:
        self._store.end(self.name)


_HEAD = {"revision": (shapes.number, REQUIRED), "lease": (shapes.word, "")}
