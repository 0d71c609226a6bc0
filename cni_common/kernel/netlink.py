# SPDX-License-Identifier: Apache-2.0
"""One synchronous rtnetlink socket; pyroute2's messages are its words (RFC 3549).

Messages are sent together and their answers read together, so that a batch costs
one system call to send. pyroute2's own sockets are not used: since 0.9 they run an
event loop in threads, which a short-lived process pays at each start.
"""

from __future__ import annotations

import errno
import struct
from _socket import MSG_TRUNC, NETLINK_ROUTE, SO_RCVTIMEO, SOL_SOCKET

from cni_common.kernel import replies, sockets
from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Self

    from cni_common.kernel.errand import Errand

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCLUSIVE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800

_ERROR, _DONE = 2, 3
_GET = 2  # of the four types of each object: new, delete, get, set
_MULTI, _DUMP_INTERRUPTED = 0x2, 0x10
_SOL_NETLINK, _NO_ENOBUFS, _EXT_ACK, _STRICT_CHECK = 270, 5, 11, 12
_BUFFER = 1 << 16
# The answers to one batch must fit into the socket's receive buffer.
_BATCH = 64
_DUMP_ATTEMPTS = 100
_PATIENCE = 30  # seconds; the kernel has answered by the time a request is sent


class NetlinkError(OSError):
    """A refused request: errno, and in `strerror` the kernel's own words if any."""


class DumpInterruptedError(Exception):
    """The listed objects changed while they were listed; ask again."""


class Change(NamedTuple):
    """A request (message, type, flags), and what is raised where it is refused, if
    anything is.
    """

    request: tuple[Any, int, int]
    refusal: Callable[[NetlinkError], CNIError | None]


class Netlink:
    """An rtnetlink socket of the namespace in which it was opened.

    It stays with that namespace whatever the thread enters later. Raises Code.INTERNAL
    where the kernel gives none. Another `protocol` is spoken in the same way.
    """

    def __init__(self, groups: int = 0, protocol: int = NETLINK_ROUTE) -> None:
        try:
            self._socket = _opened(groups, protocol)
        except OSError as error:
            msg = f"open netlink socket: {cause_of(error)}"
            raise CNIError(Code.INTERNAL, msg) from error
        self._sequence = 0

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor, for poll(2)."""
        return self._socket.fileno()

    def receive(self) -> bytes:
        """Return the next datagram; used on sockets that listen to groups.

        It is empty when somebody else than the kernel has sent it, or it is lost.
        """
        try:
            data, sender = self._socket.recvfrom(_BUFFER)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return b""
        return data if sender[0] == 0 else b""

    def act(self, *requests: tuple[Any, int, int]) -> None:
        """Send `requests`, each (message, type, flags), to be carried out in order.

        They are sent together. All are tried; the first refusal is raised.
        """
        first: NetlinkError | None = None
        for error in self.outcomes(requests):
            first = first or error
        if first is not None:
            raise first

    def carry_out(self, *changes: Change) -> None:
        """Carry out the changes in order, sent together; raises the first refusal."""
        outcomes = self.outcomes([change.request for change in changes])
        for change, error in zip(changes, outcomes, strict=True):
            refusal = change.refusal(error) if error else None
            if refusal is not None:
                raise refusal from error

    def outcomes(
        self, requests: Sequence[tuple[Any, int, int]]
    ) -> list[NetlinkError | None]:
        """Carry out `requests` and return for each its refusal, or None.

        One that nobody hears of counts for each of them.
        """
        found: list[NetlinkError | None] = []
        for start in range(0, len(requests), _BATCH):
            batch = requests[start : start + _BATCH]
            try:
                found += self._batch(batch)
            except NetlinkError as error:
                found += [error] * len(batch)
        return found

    def answers(
        self, requests: Sequence[tuple[Any, int, int]], answer: type[Any]
    ) -> list[Any]:
        """Return for each request the answer, decoded as `answer`, or the refusal.

        They are few, and sent together. A change has no answer: None.
        """
        try:
            return self._batch(requests, answer)
        except NetlinkError as error:
            return [error] * len(requests)

    def _batch(
        self, requests: Sequence[tuple[Any, int, int]], answer: type[Any] | None = None
    ) -> list[Any]:
        def acknowledged(kind: int) -> int:
            answers_itself = answer is not None and kind & 3 == _GET
            return 0 if answers_itself else ACK

        start = self._sequence + 1
        data = b"".join(
            self._encode(message, kind, flags | REQUEST | acknowledged(kind))
            for message, kind, flags in requests
        )
        _send(self._socket, data)
        outcomes: dict[int, Any] = {}
        while len(outcomes) < len(requests):
            for kind, flags, sequence, body in self._read():
                if sequence < start:
                    continue
                if kind == _ERROR:
                    outcomes[sequence] = _refusal(body, flags)
                elif answer is not None:
                    outcomes[sequence] = _decoded(body, answer)
        return [outcomes[sequence] for sequence in sorted(outcomes)]

    def hand_over(self, message: Any, kind: int, flags: int) -> Errand:
        """Make the request in a thread, which lives until the kernel is done with it.

        `acknowledged` reads the answer. Neither closing this socket nor the end of the
        call disturbs the request.
        """
        from cni_common.kernel.errand import Errand  # noqa: PLC0415 - only to delete a link

        data = self._encode(message, kind, flags | REQUEST | ACK)
        sender = self._socket.dup()

        def send() -> None:
            with sender:
                _send(sender, data)

        return Errand(send)

    def acknowledged(self) -> None:
        """Return when the last request is carried out; raises its refusal."""
        while True:
            for kind, flags, sequence, body in self._read():
                if kind == _ERROR and sequence == self._sequence:
                    error = _refusal(body, flags)
                    if error is not None:
                        raise error
                    return

    def get(self, message: Any, kind: int, answer: type[Any]) -> Any:
        """Return the one answer, decoded as `answer`; raises NetlinkError."""
        (found,) = self._batch([(message, kind, 0)], answer)
        if isinstance(found, NetlinkError):
            raise found
        return found

    def dump(self, message: Any, kind: int, answer: type[Any]) -> list[Any]:
        """Return all answers to a dump, asked again while it gets interrupted.

        Raises NetlinkError, with EAGAIN when the objects never stop changing.
        """
        for _ in range(_DUMP_ATTEMPTS):
            try:
                return self._list(message, kind, answer)
            except DumpInterruptedError:
                continue
        raise NetlinkError(errno.EAGAIN, "the listed objects keep changing")

    def _list(self, message: Any, kind: int, answer: type[Any]) -> list[Any]:
        _send(self._socket, self._encode(message, kind, DUMP | REQUEST))
        found: list[Any] = []
        interrupted = False
        while True:
            for kind_, flags_, sequence, body in self._read():
                if sequence != self._sequence:
                    continue
                interrupted |= bool(flags_ & _DUMP_INTERRUPTED)
                if kind_ == _ERROR:
                    error = _refusal(body, flags_)
                    if error is not None:
                        raise error
                    return found
                if kind_ == _DONE:
                    told = replies.failure_of_dump(body, flags_)
                    if told is not None:
                        raise NetlinkError(*told)
                    if interrupted:
                        raise DumpInterruptedError
                    return found
                found.append(_decoded(body, answer))
                if not flags_ & _MULTI:
                    return found

    def _encode(self, message: Any, kind: int, flags: int) -> bytes:
        self._sequence += 1
        message["header"]["type"] = kind
        message["header"]["flags"] = flags
        message["header"]["sequence_number"] = self._sequence
        message["header"]["pid"] = 0
        message.reset()  # else a second encoding is appended to the first
        message.encode()
        return bytes(message.data)

    def _read(self) -> list[tuple[int, int, int, bytes]]:
        try:
            data, _, flags, sender = self._socket.recvmsg(_BUFFER)
        except BlockingIOError as error:
            cause = "the kernel does not answer"
            raise NetlinkError(errno.ETIMEDOUT, cause) from error
        except OSError as error:
            raise _refused_here(error) from error
        if flags & MSG_TRUNC:
            raise NetlinkError(errno.EMSGSIZE, "the kernel's answer was cut off")
        if sender[0] != 0:  # not the kernel: somebody else wrote to our port
            return []
        return replies.messages(data)


def _opened(groups: int, protocol: int) -> sockets.Socket:
    opened = sockets.netlink(protocol)
    timeout = struct.pack("@ll", _PATIENCE, 0)
    opened.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeout)
    opened.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
    opened.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
    if groups:
        # Who listens asks for the state after each event: one may be lost.
        opened.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
    opened.bind((0, groups))
    return opened


def _decoded(body: bytes, answer: type[Any]) -> Any:
    decoded = answer(body)
    decoded.decode()
    return decoded


def _send(sender: sockets.Socket, data: bytes) -> None:
    try:
        sender.send(data)
    except OSError as error:
        raise _refused_here(error) from error


def _refused_here(error: OSError) -> NetlinkError:
    """Return what a socket refuses in the form of what the kernel answers."""
    return NetlinkError(error.errno or errno.EIO, cause_of(error))


def _refusal(body: bytes, flags: int) -> NetlinkError | None:
    told = replies.refusal(body, flags)
    return NetlinkError(*told) if told else None
