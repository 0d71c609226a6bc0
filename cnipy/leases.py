# SPDX-License-Identifier: Apache-2.0
"""Leases of host-local, which the reference's format says no namespace of."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cni_common import trusted_path
from cni_common.own_files import refusal
from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cni_common.naming import Attachment

DIRECTORY = "/var/lib/cni/networks"
_LOCK, _LAST = "lock", "last_reserved_ip."
_CONTENT_MAX = 1 << 12
_SHOWN = 3


def unknown(known: Collection[Attachment]) -> Iterator[str]:
    """Yield a line for each network that leases to containers nobody knows of.

    `known` are the attachments that there is a record or a cached result of.
    """
    owners = {(each.network, each.container_id) for each in known}
    for network, held in sorted(_held().items()):
        strange = {a: c for a, c in held.items() if (network, c) not in owners}
        if strange:
            shown = ", ".join(f"{a} ({c})" for a, c in [*strange.items()][:_SHOWN])
            more = ", ..." if len(strange) > _SHOWN else ""
            leases = os.path.join(DIRECTORY, network)
            yield (
                f"kept leases in {leases}: nothing says whether their containers live: "
                f"{shown}{more}; `cnipy gc {network}` or removing the files frees them"
            )


class Lease(NamedTuple):
    """An address, whose it is, and when the lease was written, in seconds since 1970.

    One as releases before 0.7 wrote it says nothing of the interface.
    """

    address: str
    container_id: str
    ifname: str
    since: float


def of_network(directory: str, network: str) -> Iterator[Lease]:
    """Yield the leases of a network below `directory`; what is none is passed over."""
    place = os.path.join(directory, network)
    for name in _names(place) if network and "/" not in network else ():
        with suppress(ValueError, OSError):
            ip_address(name)
            path = os.path.join(place, name)
            container_id, _, ifname = _content(path).partition("\r\n")
            since = os.lstat(path).st_mtime
            yield Lease(name, container_id.strip(), ifname.strip(), since)


def remove_directory(
    parent: str, network: str, gone: list[str], kept: list[str]
) -> None:
    """Remove the directory of a network below `parent`, if there is no lease in it.

    It is told among what is `gone`, or with a reason among what is `kept`; that there
    is none is success. Raises Code.IO_FAILURE.
    """
    full = os.path.join(parent, network)
    with refusal(f"remove {full}", absence=True):
        parent_fd = trusted_path.open_directory(parent)
        try:
            with _locked(parent_fd, network) as fd:
                others = [name for name in os.listdir(fd) if not _is_memory(name)]
                if others:
                    kept.append(f"{full}: there is {others[0]} in it")
                    return
                for name in os.listdir(fd):
                    os.unlink(name, dir_fd=fd)
                os.rmdir(network, dir_fd=parent_fd)
            gone.append(f"leases {full}")
        finally:
            os.close(parent_fd)


@contextmanager
def _locked(parent: int, network: str) -> Iterator[int]:
    """Hold the lock of host-local on a network's directory, and give its descriptor."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(network, flags | os.O_DIRECTORY, dir_fd=parent)
    lock = -1
    try:
        with suppress(FileNotFoundError):
            lock = os.open(_LOCK, flags | os.O_NONBLOCK, dir_fd=fd)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield fd
    finally:
        if lock >= 0:
            os.close(lock)
        os.close(fd)


def _is_memory(name: str) -> bool:
    """Tell whether a file is host-local's own, and no lease."""
    return name == _LOCK or name.startswith(_LAST)


def _held() -> dict[str, dict[str, str]]:
    """Return network -> address -> container ID."""
    found: dict[str, dict[str, str]] = {}
    for network in _names(DIRECTORY):
        leases = os.path.join(DIRECTORY, network)
        for name in _names(leases):
            with suppress(ValueError, OSError):
                ip_address(name)
                found.setdefault(network, {})[name] = _owner(os.path.join(leases, name))
    return found


def _owner(path: str) -> str:
    return _content(path).partition("\r\n")[0].strip()


def _content(path: str) -> str:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:
        return file.read(_CONTENT_MAX).decode(errors="replace")


def _names(leases: str) -> list[str]:
    try:
        return sorted(os.listdir(leases))
    except (FileNotFoundError, NotADirectoryError):
        return []
