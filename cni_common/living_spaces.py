# SPDX-License-Identifier: Apache-2.0
"""Which network namespaces there are, and whether one is still an attachment's.

The kernel gives the number of a namespace that has ended to the next one that is made.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from os.path import basename
from typing import TYPE_CHECKING

from cni_common import attachments, shapes
from cni_common.kernel import netns_identity
from cni_common.spec.errors import CNIError
from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN = "/proc/self/ns/net"
# mountinfo of proc(5): "... 0:4 net:[4026532290] /run/netns/web ... - nsfs nsfs rw"
_MOUNTED = re.compile(r"^\d+ \d+ (\d+):(\d+) net:\[(\d+)\] (\S+) ", re.MULTILINE)


class Space(NamedTuple):
    """A namespace that a container was attached in: where it was, and which.

    The identity is empty where it was not written down.
    """

    path: str
    identity: str = ""


class Spaces:
    """The network namespaces of the machine at the time of making, the host's apart.

    Mounts are looked at in every mount namespace, since a runtime may have its own.
    """

    def __init__(self) -> None:
        self._mounts: dict[str, list[str]] = {}
        self._processes: dict[str, str] = {}
        looked_at: set[str] = set()
        kept = _with_a_dhcpcd()
        for process in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(CNIError):  # one that may not be looked at hides itself
                identity = identity_at(f"/proc/{process}/ns/net")
                if identity not in kept or _name(process) != "dhcpcd":
                    self._processes[identity] = process
            with suppress(OSError):
                mounts = os.readlink(f"/proc/{process}/ns/mnt")
                if mounts not in looked_at:
                    looked_at.add(mounts)
                    for identity, place in _mounted(process):
                        self._mounts.setdefault(identity, []).append(place)
        for found in (self._mounts, self._processes):
            for nobodys in ("", identity_at(_OWN)):
                found.pop(nobodys, None)

    def found(self, space: Space) -> str:
        """Return the identity of the namespace if it is where it was, else nothing.

        It may be there in the mounts of a runtime only.
        """
        there = identity_at(space.path)
        if there and there != identity_at(_OWN) and space.identity in {"", there}:
            return there
        name = basename(space.path)
        for identity, places in self._mounts.items():
            if space.identity in {"", identity} and name in map(basename, places):
                return identity
        return ""

    def holder(self, identity: str) -> str:
        """Return a place or a process that has a namespace of this number."""
        if identity in self._mounts:
            return self._mounts[identity][0]
        process = self._processes.get(identity)
        return f"process {process}" if process else ""


def identity_at(path: str) -> str:
    """Return the identity of the namespace at `path`, as records have it.

    Empty when there is none: a file left where one was mounted is no namespace. Raises
    Code.IO_FAILURE or Code.TRY_AGAIN_LATER when it cannot be told, for what is
    unreadable is not dead.
    """
    identity = netns_identity.at(path)
    device = netns_identity.at(_OWN).partition(":")[0]
    return identity if identity.partition(":")[0] == device else ""


def _with_a_dhcpcd() -> set[str]:
    """Return the namespaces in which we have a dhcpcd keep a lease.

    That is no life of the container's.
    """
    found = attachments.of_plugin("dhcpv6", {"netnsIdentity": (shapes.text, "")})
    return {record["netnsIdentity"] for _, record in found} - {""}


def _name(process: str) -> str:
    with suppress(OSError), open(f"/proc/{process}/comm", encoding="utf-8") as file:
        return file.read().rstrip("\n")
    return ""


def _mounted(process: str) -> Iterator[tuple[str, str]]:
    with open(f"/proc/{process}/mountinfo", encoding="utf-8", errors="replace") as file:
        for major, minor, inode, place in _MOUNTED.findall(file.read()):
            yield f"{os.makedev(int(major), int(minor))}:{inode}", place
