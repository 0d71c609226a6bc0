# SPDX-License-Identifier: Apache-2.0
"""Connections to members of etcd, on which nothing is waited for beyond an instant.

A socket has a timeout for each wait, and a resolver one of its own. So a member that
says a byte a second would be listened to for ever, and one whose name nobody resolves
be waited for as long as the resolver has patience. Instants are of time.monotonic().
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from http.client import HTTPConnection

from cnipy.net.store import tls

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    from cnipy.net.store.settings import Endpoint, Settings

    Addresses = list[tuple[int, tuple[Any, ...]]]  # family, and what connect(2) takes
    _Base = socket.socket
else:
    _Base = object

_SHORTEST = 0.01  # seconds
_KNOWN_WAIT = 0.5  # seconds for a name whose addresses of before are known


class Line(_Base):
    """A socket on which each wait ends at `until`, which is to be set."""

    until = 0.0

    def recv_into(self, *given: Any, **named: Any) -> int:
        """Receive as a socket does."""
        self._hurry()
        return super().recv_into(*given, **named)

    def send(self, *given: Any, **named: Any) -> int:
        """Send as a socket does."""
        self._hurry()
        return super().send(*given, **named)

    def sendall(self, *given: Any, **named: Any) -> None:
        """Send as a socket does."""
        self._hurry()
        super().sendall(*given, **named)

    def _hurry(self) -> None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(max(left, _SHORTEST))


class _Plain(Line, socket.socket):
    pass


class _Encrypted(Line, ssl.SSLSocket):
    pass


class Connection(HTTPConnection):
    """A connection to a member, on `line`; it is not made again by itself."""

    auto_open = 0

    def __init__(self, member: Endpoint, line: Line) -> None:
        super().__init__(member.host, member.port)
        self.sock = self.line = line


class Resolver:
    """Knows the addresses of members; the last ones, where nobody tells them now."""

    def __init__(self) -> None:
        self._known: dict[Endpoint, Addresses] = {}
        self._failed: dict[Endpoint, str] = {}
        self._asking: dict[Endpoint, threading.Thread] = {}

    def addresses(self, member: Endpoint, until: float) -> Addresses:
        """Return where a member is; raises OSError."""
        try:
            return _looked_up(member, socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass  # it is a name
        asking = self._asking.get(member)
        if asking is None or not asking.is_alive():
            # A call of the C library, which nothing ends.
            asking = threading.Thread(target=self._ask, args=(member,), daemon=True)
            self._asking[member] = asking
            asking.start()
        known = self._known.get(member)
        left = until - time.monotonic()
        asking.join(max(0.0, min(left, _KNOWN_WAIT) if known else left))
        found = self._known.get(member)
        if not found:
            cause = "timed out" if asking.is_alive() else self._failed.get(member, "")
            raise OSError(0, f"resolve {member.host}: {cause}")
        return found

    def _ask(self, member: Endpoint) -> None:
        try:
            self._known[member] = _looked_up(member, 0)
        except OSError as error:
            self._failed[member] = str(error.strerror)


def connect(
    member: Endpoint, settings: Settings, resolver: Resolver, until: float
) -> Connection:
    """Return a new connection; raises OSError, StoreError for files that are none."""
    context = tls.context(settings) if member.tls else None
    line: Line = _connected(resolver.addresses(member, until), until)
    if context is not None:
        context.sslsocket_class = _Encrypted
        line.settimeout(_left(until))
        line = context.wrap_socket(line, server_hostname=member.host)  # type: ignore[assignment]  # of sslsocket_class
    return Connection(member, line)


def _connected(addresses: Addresses, until: float) -> _Plain:
    """Return a socket that is connected to one of the addresses, each of which has its
    share of the time.
    """
    refused: OSError = TimeoutError("timed out")
    for number, (family, address) in enumerate(addresses):
        line = _Plain(family, socket.SOCK_STREAM)
        try:
            line.settimeout(_left(until) / (len(addresses) - number))
            line.connect(address)
        except OSError as error:
            line.close()
            refused = error
        else:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return line
    raise refused


def _left(until: float) -> float:
    return max(_SHORTEST, until - time.monotonic())


def _looked_up(member: Endpoint, flags: int) -> Addresses:
    found = socket.getaddrinfo(
        member.host, member.port, type=socket.SOCK_STREAM, flags=flags
    )
    return [(int(family), address) for family, _, _, _, address in found]
