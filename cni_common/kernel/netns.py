# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: open by path, tell apart, enter and come back (setns(2))."""

from __future__ import annotations

import ctypes
import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

CLONE_NEWNET = 0x40000000
_NS_GET_NSTYPE = 0xB703  # linux/nsfs.h
_OWN = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Namespace:
    """An open network namespace; `device` and `inode` identify it while it lives."""

    path: str
    fd: int
    device: int
    inode: int

    @property
    def identity(self) -> str:
        """A text that no other living network namespace has."""
        return f"{self.device}:{self.inode}"

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_path(path: str) -> Namespace:
    """Return the network namespace at `path`; raises code 8 when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise _invalid(path, error.strerror or str(error)) from error
    try:
        if fcntl.ioctl(fd, _NS_GET_NSTYPE) != CLONE_NEWNET:
            raise _invalid(path, "not a network namespace")
        status = os.fstat(fd)
    except OSError as error:
        os.close(fd)
        raise _invalid(path, "not a network namespace") from error
    except CNIError:
        os.close(fd)
        raise
    return Namespace(path, fd, status.st_dev, status.st_ino)


def open_living(path: str) -> Namespace | None:
    """Return the namespace at `path`, or None when it is gone.

    A plain file where a namespace was mounted counts as gone: that is what remains
    of the mount point after an unmount.
    """
    if not path:
        return None
    try:
        return open_path(path)
    except CNIError:
        return None


def own() -> Namespace:
    """Return the namespace of the calling thread."""
    return open_path(_OWN)


def is_own(path: str) -> bool:
    """Tell whether `path` is the calling thread's namespace; absent is not."""
    try:
        there = os.stat(path)
        here = os.stat(_OWN)
    except (OSError, ValueError):
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def lives(path: str, identity: str) -> bool:
    """Tell whether the namespace that had `identity` is still found at `path`."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return False
    return f"{status.st_dev}:{status.st_ino}" == identity


@contextmanager
def entered(namespace: Namespace) -> Iterator[None]:
    """Have the calling thread in `namespace` inside the block, and back after it."""
    with own() as home:
        _setns(namespace)
        try:
            yield
        finally:
            _setns(home)


@contextmanager
def entered_path(path: str) -> Iterator[Namespace]:
    """Have the calling thread in the namespace at `path` inside the block."""
    with open_path(path) as namespace, entered(namespace):
        yield namespace


@contextmanager
def entered_new() -> Iterator[None]:
    """Have the calling thread in a new namespace inside the block, and back after it.

    What was made in the block is gone then, however the block ends.
    """
    with own() as home:
        if _libc.unshare(CLONE_NEWNET) != 0:
            cause = os.strerror(ctypes.get_errno())
            raise _invalid(_OWN, cause, "leave")
        try:
            yield
        finally:
            _setns(home)


def _setns(namespace: Namespace) -> None:
    if _libc.setns(namespace.fd, CLONE_NEWNET) != 0:
        cause = os.strerror(ctypes.get_errno())
        raise _invalid(namespace.path, cause, "enter")


def _invalid(path: str, cause: str, verb: str = "open") -> CNIError:
    msg = f"{verb} network namespace {path!r}: {cause.lower()}"
    return CNIError(Code.INVALID_NETNS, msg)
