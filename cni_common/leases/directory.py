# SPDX-License-Identifier: Apache-2.0
"""Opens and locks a network's directory, with nothing followed that could lead away."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import ExitStack, contextmanager, suppress

from cni_common import trusted_path
from cni_common.leases import index
from cni_common.leases.store import Store
from cni_common.spec import gojson
from cni_common.spec.errors import of_os

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

DATA_DIR = "/var/lib/cni/networks"
LOCK = "lock"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_UNWRITABLE = {errno.EROFS, errno.ENOSPC, errno.EDQUOT}
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Somebody who keeps removing the directory is not to keep the caller for ever.
_ATTEMPTS = 20


def data_dir(document: dict[str, Any]) -> str:
    """Return `ipam.dataDir` of a configuration that may otherwise be broken.

    DEL and GC need nothing else, so that no other key can keep them from releasing.
    """
    ipam = gojson.member(document, "ipam")
    path = gojson.member(ipam, "dataDir") if isinstance(ipam, dict) else None
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        return DATA_DIR
    return path


@contextmanager
def locked(parent: str, network: str, *, create: bool) -> Iterator[Store | None]:
    """Hold the lock of the network's directory, as the reference does: flock(2).

    None if the directory is absent and not to be created. `parent` may be a symbolic
    link, the network's directory and what lies in it may not. Every OSError, also one
    from inside the `with`, becomes Code.IO_FAILURE, or Code.TRY_AGAIN_LATER for one
    that may be over at once.
    """
    try:
        with ExitStack() as stack:
            yield _open(stack, parent, network, create=create)
    except OSError as error:
        refused = of_os(f"use lease directory {os.path.join(parent, network)}", error)
        name = error.filename  # of a directory that is listed it is the descriptor
        refused.details = os.fsdecode(name) if isinstance(name, str | bytes) else ""
        raise refused from error


def _open(
    stack: ExitStack, data_dir: str, network: str, *, create: bool
) -> Store | None:
    for attempt in range(_ATTEMPTS):
        try:
            with ExitStack() as fds:
                opened = trusted_path.open_directory(data_dir, create=create)
                parent = _keep(fds, opened)
                directory = _keep(fds, _network_directory(parent, network, create))
                lock = _keep(fds, _lock_file(directory, create=create))
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not _is_at(LOCK, lock, directory):
                    continue
                stack.enter_context(fds.pop_all())
        except FileNotFoundError:
            # Absent, or removed while we waited for the lock: administrators do
            # that to get rid of leases that nobody else reclaims.
            if not create:
                index.discard(os.path.realpath(os.path.join(data_dir, network)))
                return None
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        store = Store(network, parent, directory)
        stack.callback(store.close)
        return store
    raise BlockingIOError(0, "lock file is replaced all the time", LOCK)


def _network_directory(parent: int, network: str, create: bool) -> int:  # noqa: FBT001 - as open's
    if create:
        with suppress(FileExistsError):
            os.mkdir(network, 0o755, dir_fd=parent)
    return os.open(network, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def _lock_file(directory: int, *, create: bool) -> int:
    """Open the lock; to release what may be nothing, one that cannot be written will
    do, or the directory itself.
    """
    try:
        return os.open(LOCK, _LOCK, 0o750, dir_fd=directory)
    except OSError as error:
        if create or error.errno not in _UNWRITABLE:
            raise
    try:
        return os.open(LOCK, _READ, dir_fd=directory)
    except FileNotFoundError:
        return os.open(".", _DIRECTORY, dir_fd=directory)


def _is_at(name: str, fd: int, directory: int) -> bool:
    """Tell whether `fd` is still what has the name, or is the directory."""
    held = os.fstat(fd)
    if stat.S_ISDIR(held.st_mode):
        return True
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return os.path.samestat(found, held)


def _keep(fds: ExitStack, fd: int) -> int:
    fds.callback(os.close, fd)
    return fd
