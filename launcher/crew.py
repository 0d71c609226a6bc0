# SPDX-License-Identifier: Apache-2.0
"""The children of the warm server, as the server sees them.

The server alone listens, and hands each connection to a child that waits for one. A
child has nothing that a caller could wait at: when the server ends, so does the queue.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from contextlib import suppress

from launcher.client import WAIT

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from launcher.ending import Ending
    from launcher.scrape import Window

    Live = Callable[[socket.socket, Sequence[socket.socket]], NoReturn]

SPARES = 4  # children that wait for a call
# Fewer waiting children than this are made up for: a call that is over soon gives its
# child back, so that calls one after the other need no fork at all.
SPARES_AT_LEAST = 2
MOST = 400  # children at once, and calls that wait; each costs a descriptor
_RETRY = 1000  # milliseconds, after which a fork that failed is tried again
_CALL = b"C"


class Crew:
    """The children: those that are new, that wait for a call, that serve one."""

    def __init__(
        self,
        live: Live,
        listener: socket.socket | None,
        ending: Ending,
        window: Window | None = None,
    ) -> None:
        """`live` is what a child does, given its channel and what it must close.

        `listener` is the socket that the server has already, if it has; `ending` says
        when it has to end; `window` is where measurements are asked for.
        """
        self._live, self._ending, self._window = live, ending, window
        self._channels: dict[int, socket.socket] = {}
        self._new: set[int] = set()
        self._idle: deque[int] = deque()
        self._calls: deque[socket.socket] = deque()  # for which no child is there yet
        self._listening = [listener] if listener else []
        self._poll = select.poll()

    def gather(self) -> None:
        """Start children, one of which waits for a call; the others will soon."""
        self._enlist(SPARES)
        while not self._idle:
            for channel, _ in self._poll.poll(_RETRY):
                self._hear(channel)
            self._enlist(SPARES)

    def serve(self, listener: socket.socket) -> None:
        """Hand what comes to `listener` to the children, until the end is due.

        What has been accepted is in a child's hands then. What has not been is left to
        whoever else has the socket; nobody has handed anything over there.
        """
        listener.setblocking(False)
        self._listening = [listener]
        self._poll.register(listener, 0)
        if self._window:
            self._poll.register(self._window.listener, select.POLLIN)
        self._ending.called()  # nobody could before
        while self._calls or not self._ending.is_due():
            self._enlist(SPARES_AT_LEAST)
            wanted = len(self._calls) < MOST and not self._ending.is_due()
            self._poll.modify(listener, select.POLLIN if wanted else 0)
            for number, _ in self._poll.poll(self._patience()):
                if number in self._channels:
                    self._hear(number)
                elif number == listener.fileno():
                    self._accept(listener)
                elif self._window:
                    self._ending.called()  # who asks wants a server to be there
                    self._window.answer(self._held())
            self._hand_over()

    def _patience(self) -> int | None:
        """Return after how many milliseconds to look around though nothing came."""
        if self._calls or len(self._idle) + len(self._new) < SPARES_AT_LEAST:
            return _RETRY
        return self._ending.milliseconds()

    def _enlist(self, number: int) -> None:
        """Start children until `number` wait or will, if there is room for them."""
        with suppress(OSError):
            while (
                len(self._idle) + len(self._new) < number and len(self._channels) < MOST
            ):
                self._hire()

    def _hire(self) -> None:
        kind = socket.SOCK_SEQPACKET
        channel, childs_end = socket.socketpair(socket.AF_UNIX, kind)
        try:
            if os.fork() == 0:
                window = (self._window.listener,) if self._window else ()
                self._live(childs_end, (channel, *window, *self._held()))
        except OSError:
            channel.close()
            raise
        finally:
            childs_end.close()
        self._channels[channel.fileno()] = channel
        self._new.add(channel.fileno())
        self._poll.register(channel, select.POLLIN)

    def _held(self) -> tuple[socket.socket, ...]:
        """Return what is the server's alone."""
        return (*self._listening, *self._calls, *self._channels.values())

    def _hear(self, number: int) -> None:
        """A child waits for a call now, or has ended."""
        try:
            told = self._channels[number].recv(1)
        except OSError:
            told = b""
        self._new.discard(number)
        if told and len(self._idle) < SPARES + len(self._calls):
            self._idle.append(number)
        else:
            self._dismiss(number)
        if not told:  # perhaps because it has met a call of another build
            self._ending.look()

    def _dismiss(self, number: int) -> None:
        """Let go of a child: with its channel it ends, if it has not yet."""
        with suppress(ValueError):
            self._idle.remove(number)
        self._poll.unregister(number)
        self._channels.pop(number).close()

    def _accept(self, listener: socket.socket) -> None:
        """Take the next call; one that finds no child is told that somebody is here."""
        with suppress(BlockingIOError, ConnectionAbortedError):
            connection, _ = listener.accept()
            self._ending.called()
            self._calls.append(connection)
            if len(self._calls) > len(self._idle):
                with suppress(OSError):
                    connection.send(WAIT)

    def _hand_over(self) -> None:
        while self._calls and self._idle:
            with self._calls.popleft() as connection:
                self._give(connection)

    def _give(self, connection: socket.socket) -> None:
        """Give a call to the child that has waited longest."""
        while self._idle:
            number = self._idle.popleft()
            try:
                socket.send_fds(self._channels[number], [_CALL], [connection.fileno()])
            except OSError:  # somebody has ended it
                self._dismiss(number)
            else:
                return


def next_call(channel: socket.socket) -> socket.socket | None:
    """Tell the server, from a child, that it waits; return the call that it is given.

    None without a server, or when the server needs it no more.
    """
    try:
        channel.send(_CALL)
        _, taken, _, _ = socket.recv_fds(channel, 1, 1, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return None
    return socket.socket(fileno=taken[0]) if taken else None
