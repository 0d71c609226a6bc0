# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: open by path, tell apart, enter and come back (setns(2))."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager
from functools import cache

from cni_common.kernel.netns_identity import OWN, is_own, lives
from cni_common.spec.errors import (
    CNIError,
    Code,
    StrandedError,
    cause_of,
    is_absence,
    is_shortage,
)
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

__all__ = ["is_own", "lives"]  # as others see them, beside what is defined here

CLONE_NEWNET = 0x40000000
_NS_GET_NSTYPE = 0xB703  # linux/nsfs.h


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

    def __exit__(self, *ended: object) -> None:
        self.close()


def open_path(path: str) -> Namespace:
    """Return the network namespace at `path`.

    Raises Code.INVALID_NETNS when there is none, and Code.TRY_AGAIN_LATER when this
    host cannot open anything just now.
    """
    try:
        return _opened(path)
    except OSError as error:
        raise _invalid(path, error) from error


def open_living(path: str) -> Namespace | None:
    """Return the namespace at `path`, or None when it is gone.

    A plain file where a namespace was mounted counts as gone: that is what remains
    of the mount point after an unmount. Raises as `open_path` does when it cannot be
    told.
    """
    try:
        return _opened(path) if path else None
    except OSError as error:
        if is_absence(error):
            return None
        raise _invalid(path, error) from error


def _opened(path: str) -> Namespace:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:
        raise FileNotFoundError(errno.ENOENT, str(error)) from error
    try:
        if _type(fd) != CLONE_NEWNET:
            raise OSError(errno.ENXIO, "not a network namespace")
        status = os.fstat(fd)
    except OSError:
        os.close(fd)
        raise
    return Namespace(path, fd, status.st_dev, status.st_ino)


def _type(fd: int) -> int:
    """Return which kind of namespace `fd` is; 0 for what is none."""
    try:
        return fcntl.ioctl(fd, _NS_GET_NSTYPE)
    except OSError:
        return 0


def own() -> Namespace:
    """Return the namespace of the calling thread."""
    return open_path(OWN)


@contextmanager
def entered(namespace: Namespace) -> Iterator[None]:
    """Move the calling thread into `namespace` for the block, and back after it.

    Raises StrandedError when there is no way back.
    """
    with own() as home:
        try:
            _setns(namespace)
        except OSError as error:
            msg = f"enter network namespace {namespace.path!r}: {cause_of(error)}"
            raise CNIError(Code.INVALID_NETNS, msg) from error
        with _going_back_to(home):
            yield


@contextmanager
def entered_path(path: str) -> Iterator[Namespace]:
    """Move the calling thread into the namespace at `path` for the block."""
    with open_path(path) as namespace, entered(namespace):
        yield namespace


@contextmanager
def entered_new() -> Iterator[None]:
    """Move the calling thread into a new namespace for the block, and back after it.

    What was made in the block is gone then, however the block ends.
    """
    with own() as home:
        try:
            _system_call("unshare", CLONE_NEWNET)
        except OSError as error:
            msg = f"leave network namespace {OWN!r}: {cause_of(error)}"
            raise CNIError(Code.INVALID_NETNS, msg) from error
        with _going_back_to(home):
            yield


@contextmanager
def _going_back_to(home: Namespace) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            _setns(home)
        except OSError as error:
            msg = f"return to the host's network namespace: {cause_of(error)}"
            raise StrandedError(msg) from error


def _setns(namespace: Namespace) -> None:
    _system_call("setns", namespace.fd, CLONE_NEWNET)


def _system_call(name: str, *arguments: int) -> None:
    """Make a system call that the module `os` has from Python 3.12 on."""
    own = getattr(os, name, None)
    if own is not None:
        own(*arguments)
        return
    from cni_common.kernel import c_library  # noqa: PLC0415 - not from 3.12 on

    if getattr(_process(), name)(*arguments) != 0:
        number = c_library.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _process() -> Any:
    from cni_common.kernel import c_library  # noqa: PLC0415 - as above

    return c_library.CDLL(None)


def _invalid(path: str, error: OSError) -> CNIError:
    code = Code.TRY_AGAIN_LATER if is_shortage(error) else Code.INVALID_NETNS
    return CNIError(code, f"open network namespace {path!r}: {cause_of(error)}")
