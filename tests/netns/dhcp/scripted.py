# SPDX-License-Identifier: Apache-2.0
"""A DHCP server that says what a test wants it to say, however wrong that is."""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Space

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = range(1, 8)
HEAD = struct.Struct(">4BIHH4s4s4s4s16s64s128s4s")
COOKIE = bytes((99, 130, 83, 99))
MASK = bytes((255, 255, 255, 0))


@dataclass
class Asked:
    """What a client said, from which address."""

    kind: int
    number: int
    mine: str
    mac: bytes
    options: dict[int, bytes]
    flags: int
    source: str
    at: float = field(default_factory=time.monotonic)


def seconds(count: int) -> bytes:
    """Return a time as an option has it."""
    return count.to_bytes(4, "big")


def given(
    server: str, lease: int = 3600, first: int = 0, second: int = 0
) -> dict[int, bytes]:
    """Return the options of a decent answer."""
    found = {54: socket.inet_aton(server), 51: seconds(lease), 1: MASK}
    if first:
        found |= {58: seconds(first), 59: seconds(second)}
    return found


def answer(
    asked: Asked, kind: int, yours: str, options: dict[int, bytes], tail: bytes = b""
) -> bytes:
    """Return a message; `tail` stands in the place of the end of the options."""
    head = HEAD.pack(
        2,
        1,
        6,
        0,
        asked.number,
        0,
        0,
        bytes(4),
        socket.inet_aton(yours),
        bytes(4),
        bytes(4),
        asked.mac,
        b"",
        b"",
        COOKIE,
    )
    body = bytes((53, 1, kind))
    for code, held in options.items():
        for at in range(0, len(held), 255):
            part = held[at : at + 255]
            body += bytes((code, len(part))) + part
    return head + body + (tail or b"\xff")


class Scripted:
    """A server in a namespace: `says` returns the messages that it answers with."""

    def __init__(self, space: Space, says: Callable[[Asked], list[bytes]]) -> None:
        self.heard: list[Asked] = []
        self._space = space
        self._says = says
        self._ending = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *ended: object) -> None:
        self._ending.set()
        self._thread.join(10)

    def kinds(self) -> list[int]:
        """Return what was heard, in order."""
        return [each.kind for each in self.heard]

    def _serve(self) -> None:
        with (
            self._space.entered(),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own,
        ):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            own.bind(("", 67))
            own.settimeout(0.1)
            self._ready.set()
            while not self._ending.is_set():
                try:
                    content, sender = own.recvfrom(4096)
                except TimeoutError:
                    continue
                asked = _read(content, sender[0])
                self.heard.append(asked)
                for message in self._says(asked):
                    own.sendto(message, ("255.255.255.255", 68))


def _read(content: bytes, source: str) -> Asked:
    head = HEAD.unpack_from(content)
    options: dict[int, bytes] = {}
    at = HEAD.size
    while content[at] != 255:
        length = content[at + 1]
        options[content[at]] = content[at + 2 : at + 2 + length]
        at += 2 + length
    mine = socket.inet_ntoa(head[7])
    return Asked(options[53][0], head[4], mine, head[11], options, head[6], source)


def decent(server: str, yours: str, **times: int) -> Callable[[Asked], list[bytes]]:
    """Return what a server says that has one address."""

    def says(asked: Asked) -> list[bytes]:
        kinds = {DISCOVER: OFFER, REQUEST: ACK}
        if asked.kind not in kinds:
            return []
        wanted = asked.options.get(54)
        if wanted is not None and wanted != socket.inet_aton(server):
            return []
        return [answer(asked, kinds[asked.kind], yours, given(server, **times))]

    return says
