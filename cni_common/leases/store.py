# SPDX-License-Identifier: Apache-2.0
"""A network's directory in the reference's format, held under its lock.

One file a lease: the address is its name, the owner its content. `lock` is what
everybody holds who works here, `last_reserved_ip.<n>` where range set n goes on.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from ipaddress import ip_address

from cni_common.leases import boot
from cni_common.leases.draft import Draft, Location
from cni_common.leases.index import Index
from cni_common.leases.owner import owner_of
from cni_common.spec.errors import is_absence

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Address, IPv6Address

    from cni_common.frame.rollback import Gather
    from cni_common.leases.owner import Owner

    IPAddress = IPv4Address | IPv6Address

LAST = "last_reserved_ip."
# Tries on single addresses before one listing of the directory is cheaper.
PROBES = 64
# No owner is longer: an environment variable holds at most 128 KiB (execve(2)).
_CONTENT_MAX = 1 << 18
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Store:
    """The leases of one network; made by `locked`, which holds the lock meanwhile."""

    def __init__(self, network: str, parent: int, directory: int) -> None:
        self._fd = directory
        self._location = Location(directory, parent, f".{network}.new")
        self._index = Index(os.readlink(f"/proc/self/fd/{directory}"), directory)
        self._changed = False

    def owned(self, owner: Owner) -> list[str]:
        """Return the names of the leases whose content is exactly `owner`."""
        if self._index.complete:
            names = self._index.leases(owner.key)
            if all(self.content(name) == owner.content for name in names):
                return names
        leases = self.leases()
        return [name for name, content in leases.items() if content == owner.content]

    def leases(self, errors: Gather | None = None) -> dict[str, bytes]:
        """Return the content of every lease by its name; reads them all.

        The side index says the same afterwards. With `errors`, a lease that cannot be
        read is an error of that, and passed over.
        """
        found: dict[str, bytes] = {}
        owners: dict[str, list[str]] = {}
        for name in filter(_is_address, os.listdir(self._fd)):
            content = (
                errors.attempt(self.content, name) if errors else self.content(name)
            )
            if content is None:
                continue
            found[name] = content
            owner = owner_of(content)
            if owner is not None:
                owners.setdefault(owner.key, []).append(name)
        if not (errors and errors.raised):
            self._index.rebuild(owners)
        self._changed = True
        return found

    def names(self) -> set[str]:
        """Return the names in the directory; its cost grows with their number."""
        return set(os.listdir(self._fd))

    def is_taken(self, name: str) -> bool:
        """Tell whether something has the name, be it a lease or not."""
        try:
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def content(self, name: str) -> bytes | None:
        """Return the content of a lease without white space around it.

        None for what is absent, no regular file or too long to be one: such things are
        nobody's lease, yet they occupy their name. Raises OSError for what cannot be
        read, since nobody knows whose that is.
        """
        fd, size = self._open_lease(name)
        if fd < 0:
            return None
        try:
            return os.read(fd, size).strip() if size <= _CONTENT_MAX else None
        finally:
            os.close(fd)

    def is_dead(self, name: str) -> bool:
        """Tell whether a lease can be reclaimed: empty, or of an earlier boot.

        Whoever creates a lease holds the lock, so that an empty one here is what a
        crash left, not what somebody is about to write. What cannot be read is not.
        """
        fd = -1
        try:
            fd, size = self._open_lease(name)
            if fd < 0:
                return False
            empty = size <= _CONTENT_MAX and not os.read(fd, size).strip()
            return empty or boot.is_from_earlier(fd)
        except OSError:
            return False
        finally:
            if fd >= 0:
                os.close(fd)

    def _open_lease(self, name: str) -> tuple[int, int]:
        """Return a regular file's descriptor and size; -1 for anything else."""
        try:
            fd = os.open(name, os.O_RDONLY | _SAFELY, dir_fd=self._fd)
        except OSError as error:
            if is_absence(error):
                return -1, 0
            raise
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode):
            return fd, found.st_size
        os.close(fd)
        return -1, 0

    def lease(
        self, candidates: Callable[[], Iterable[IPAddress]], owner: Owner
    ) -> IPAddress | None:
        """Lease the first free candidate to `owner`, else the first dead one.

        Returns None when every candidate is taken and alive.
        """
        with Draft(self._location, owner.content) as draft:
            taken: set[str] = set()
            for tries, address in enumerate(candidates()):
                name = str(address)
                if tries == PROBES:
                    taken = self.names()
                if name not in taken and draft.publish(name):
                    self._record(owner, name)
                    return address
            for address in candidates():
                name = str(address)
                if self.is_dead(name):
                    self.release(name)
                    if draft.publish(name):
                        self._record(owner, name)
                        return address
        return None

    def _record(self, owner: Owner, name: str) -> None:
        self._changed = True
        if self._index.complete:
            self._index.put(owner.key, [*self._index.leases(owner.key), name])

    def release(self, name: str) -> None:
        """Make the lease absent, whoever owns it. The caller knows that it may."""
        owner = owner_of(self.content(name) or b"")
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)
        self._changed = True
        if owner is not None and self._index.complete:
            rest = [other for other in self._index.leases(owner.key) if other != name]
            self._index.put(owner.key, rest)

    def last_reserved(self, number: int) -> IPAddress | None:
        """Return the address that range set `number` leased last, if it is known."""
        try:
            return ip_address((self.content(f"{LAST}{number}") or b"").decode())
        except (OSError, ValueError):
            return None

    def set_last_reserved(self, number: int, address: IPAddress | None) -> None:
        """Make range set `number` go on behind `address`, at its beginning if None."""
        name = f"{LAST}{number}"
        text = str(address).encode()
        if address is not None and self._overwrite(name, text):
            return
        self._changed = True
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)
        if address is not None:
            with Draft(self._location, text) as draft:
                draft.publish(name)

    def _overwrite(self, name: str, text: bytes) -> bool:
        """Replace the content of a file that is only ours; tell whether it was."""
        try:
            fd = os.open(name, os.O_WRONLY | _SAFELY, dir_fd=self._fd)
        except OSError:
            return False
        try:
            found = os.fstat(fd)
            # A second name could be a file of somebody else.
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                return False
            os.pwrite(fd, text, 0)
            os.ftruncate(fd, len(text))
        finally:
            os.close(fd)
        return True

    def sync(self) -> None:
        """Make the names in the directory survive a loss of power."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Leave the side index as the next call will trust it."""
        self._index.close(changed=self._changed)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
