# SPDX-License-Identifier: Apache-2.0
"""Is there a warm server, and does it take calls of a build? For the operator."""

from __future__ import annotations

import array
import os
import re
import socket
from contextlib import suppress

from cnipy.suite import Warm
from launcher import client, peer

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 5.0  # seconds; systemd may have to start it first
_BUILD = re.compile(rb"[0-9a-f]{32}")


def warm(build: str) -> Warm:
    """Return how a call of `build` finds the server."""
    serves = _serves(build) if build else False
    return Warm(
        socket=client.SOCKET,
        listening=serves or _listens(),
        serves=serves,
        builds=tuple(sorted(set(_running()))),
    )


def _listens() -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PATIENCE)
        probe.connect(client.SOCKET)
        return True
    return False


def _serves(build: str) -> bool:
    """Tell whether a call, of VERSION on no streams, is taken and carried out."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    directory = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    lifeline, writer = os.pipe()
    descriptors = array.array("i", [nothing, nothing, nothing, directory, lifeline])
    text = client.request(build, ["/loopback"], {b"CNI_COMMAND": b"VERSION"}, 0o022)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(client.SOCKET)
            told = connection.recv(1)
            if (connection.recv(1) if told == client.WAIT else told) != client.READY:
                return False
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)
            connection.sendmsg([text], [rights])
            return connection.recv(1) == client.ACCEPTED and connection.recv(1) == b"0"
    except OSError:
        return False
    finally:
        for each in (nothing, directory, lifeline, writer):
            os.close(each)


def _running() -> Iterator[str]:
    """Yield the build of each warm server, or child of one, in our namespaces.

    One elsewhere takes no call from here.
    """
    own = peer.namespaces("self")
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
            builds = [word.decode() for word in words if _BUILD.fullmatch(word)]
            if builds and b"serve" in words and peer.namespaces(name) == own:
                yield builds[0]
