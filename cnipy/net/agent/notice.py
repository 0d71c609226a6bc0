# SPDX-License-Identifier: Apache-2.0
"""What systemd is told of a service of type notify (sd_notify(3))."""

from __future__ import annotations

import socket
from contextlib import suppress

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

READY, STOPPING = "READY=1", "STOPPING=1"


def give(env: Mapping[str, str], text: str) -> None:
    """Tell systemd `text`, where it started this process and wants to hear of it."""
    path = env.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with (
        suppress(OSError),  # the service goes on; systemd's timeout tells of it
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line,
    ):
        line.connect(address)
        line.sendall(text.encode())
