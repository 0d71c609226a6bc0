# SPDX-License-Identifier: Apache-2.0
"""The machine itself: a library, the warm server, room on disks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cni_common import state
from cni_common.kernel import nft
from cni_common.spec.errors import CNIError
from cnipy import leases
from cnipy.doctor.finding import Finding
from cnipy.packed import build_of, roots_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.doctor.examination import Examination

_ROOM = 1 << 20  # bytes; records, leases and results of some hundred containers


def find_missing_library(node: Examination) -> Iterator[Finding]:
    """Yield that there is no libnftables, or one that cannot be used."""
    del node
    try:
        nft.load()
    except CNIError as error:
        what = "nothing is masqueraded, published or kept apart: ADD fails"
        cure = (nft.MISSING_LIBRARY,)
        yield Finding("libnftables", what, error.msg, cure)


def find_other_server(node: Examination) -> Iterator[Finding]:
    """Yield a warm server that serves another build than is installed."""
    path, names = node.runtime.invoker.path, node.suite.names
    found = (build_of(os.path.join(d, name)) for d in path for name in names)
    build = next(filter(None, found), "")
    server = node.suite.warm(build)
    if build and server.listening and not server.serves and server.builds:
        what = "every call starts cold, which takes half a second and more"
        others = " ".join(server.builds)
        cause = f"the server at {server.socket} is of build {others}, not {build}"
        cure = ("systemctl restart cnipy-warm.service",)
        yield Finding("warm-server", what, cause, cure)


def find_full_disk(node: Examination) -> Iterator[Finding]:
    """Yield file systems on which nothing can be written down any more."""
    looked_at: set[int] = set()
    for place in _places(node):
        there = _existing(place)
        device = os.stat(there).st_dev
        if device in looked_at:
            continue
        looked_at.add(device)
        cause = _fault(there)
        if cause:
            what = f"nothing can be written down in {place}: ADD fails"
            cure = (f"df -h {there}; df -i {there}", "make room there", "cnipy gc")
            yield Finding("disk-full", what, cause, cure)


def _places(node: Examination) -> Iterator[str]:
    yield state.path()
    yield node.runtime.cache.results
    yield leases.DIRECTORY
    for directory in node.runtime.invoker.path:
        yield from roots_of(os.path.join(directory, "cnipy"))


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _fault(directory: str) -> str:
    found = os.statvfs(directory)
    if found.f_flag & os.ST_RDONLY:
        return f"the file system of {directory} is read-only"
    if found.f_blocks and found.f_bavail * found.f_frsize < _ROOM:
        free = found.f_bavail * found.f_frsize // 1024
        return f"the file system of {directory} is full: {free} KiB are free"
    if found.f_files and not found.f_favail:
        return f"the file system of {directory} has no free inode"
    return ""
