# SPDX-License-Identifier: Apache-2.0
"""What listens where the system bus should, and is none: every call ends in time."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from lab import PATIENCE

from cni_common import system_bus
from cni_common.spec.errors import CNIError
from cni_common.system_bus import AbsentError, Bus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WELCOME = b"OK 0123456789abcdef0123456789abcdef\r\n"
# A method return of version 1 whose header says that its body has 4 GB less one byte.
ENDLESS = b"l\x02\x00\x01" + struct.pack("<III", 0xFFFFFFFF, 1, 0) + bytes(2 << 20)
JUNK = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"


@contextmanager
def listening(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Have `serve` called with one connection to `path`, in a thread."""

    def accept() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            serve(connection)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield
        finally:
            thread.join(10)


def silent(connection: socket.socket) -> None:
    """Read until the other end is closed, and say nothing."""
    while connection.recv(4096):
        pass


def saying(greeting: bytes, answer: bytes = b"") -> Callable[[socket.socket], None]:
    """Return what answers the first words with `greeting`, and Hello with `answer`."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(greeting)
        heard = b""
        while b"Hello" not in heard:
            more = connection.recv(4096)
            if not more:
                return
            heard += more
        connection.sendall(answer)
        silent(connection)

    return serve


def closing(connection: socket.socket) -> None:
    """Hear the greeting and hang up."""
    connection.recv(4096)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the bus is said to be."""
    path = tmp_path / "bus"
    monkeypatch.setenv(system_bus.ADDRESS, f"unix:path={path}")
    return path


@pytest.mark.parametrize(
    ("serve", "msg"),
    [
        (silent, "ask system bus: no answer within 0.3 s"),
        (saying(WELCOME), "ask system bus: no answer within 0.3 s"),
        (saying(b"O"), "ask system bus: no answer within 0.3 s"),
        (closing, "ask system bus: it closed the connection"),
        (saying(WELCOME, JUNK), "decode answer of system bus: "),
        (saying(WELCOME, ENDLESS), "decode answer of system bus: it has no end"),
    ],
)
def test_what_is_no_bus_is_given_up(
    place: Path, serve: Callable[[socket.socket], None], msg: str
) -> None:
    """Silence, half a conversation and foreign words are code 999, and in time."""
    # Only silence has to last; what comes may come late on a busy machine.
    limit = 0.3 if "no answer" in msg else 5
    began = time.monotonic()
    with listening(place, serve), pytest.raises(CNIError) as caught, Bus(limit):
        pass
    assert time.monotonic() - began < 5 * PATIENCE
    assert caught.value.code == 999
    assert not isinstance(caught.value, AbsentError)
    assert caught.value.msg.startswith(msg)


def test_bus_that_does_not_believe_us_is_absent(place: Path) -> None:
    """So it is for root of a user namespace: that bus is the host's, not ours."""
    serve = saying(b"REJECTED EXTERNAL\r\n")
    with listening(place, serve), pytest.raises(AbsentError) as caught, Bus(5):
        pass
    assert caught.value.msg.startswith("connect to system bus: authentication failed")


def test_full_queue_of_connections_is_waited_for(place: Path) -> None:
    """A bus whose queue is full is given up at the limit, not at once."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(place))
            began = time.monotonic()
            with pytest.raises(CNIError, match=r"no answer within 0\.3 s"), Bus(0.3):
                pass
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("address", ["tcp:host=localhost", "junk", "unix:dir=/tmp"])
def test_address_without_a_socket_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """What DBUS_SYSTEM_BUS_ADDRESS says and is no unix socket is code 4."""
    monkeypatch.setenv(system_bus.ADDRESS, address)
    with pytest.raises(CNIError) as caught, Bus(0.3):
        pass
    msg = f"parse DBUS_SYSTEM_BUS_ADDRESS: {address!r} names no unix socket"
    assert (caught.value.code, caught.value.msg) == (4, msg)
