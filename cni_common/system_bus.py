# SPDX-License-Identifier: Apache-2.0
"""The system bus of D-Bus: ask a method, and have its answer before a deadline.

The messages are jeepney's, which opens nothing by itself; the socket is ours, because
jeepney's own connection waits for some answers without a limit
(https://dbus.freedesktop.org/doc/dbus-specification.html).
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
from _socket import (
    AF_UNIX,
    MSG_NOSIGNAL,
    SO_RCVTIMEO,
    SO_SNDTIMEO,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)
from contextlib import ExitStack

from cni_common.spec.errors import CNIError, Code, cause_of

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

SOCKET = "/run/dbus/system_bus_socket"
# The specification's variable. It is the bus's, not CNI's, so no request has it.
ADDRESS = "DBUS_SYSTEM_BUS_ADDRESS"
# What connect(2) says where nobody listens, or not to us.
_NOBODY = {errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.EACCES, errno.EPERM}
_CHUNK = 4096
_ANSWER_MAX = 1 << 20
_TIMEVAL = struct.Struct("@ll")
_MICROSECONDS = 1_000_000


class RefusedError(CNIError):
    """An error that came as the answer; `name` is that of D-Bus, `said` its text."""

    def __init__(self, what: str, name: str, said: str) -> None:
        super().__init__(Code.INTERNAL, f"{what}: {said or name}", name if said else "")
        self.name = name
        self.said = said


class AbsentError(CNIError):
    """There is no bus for us: no socket, nobody who listens, or no admission."""


def is_there() -> bool:
    """Tell whether there may be a bus; nothing is opened, no library imported."""
    if os.environ.get(ADDRESS):
        return True
    try:
        return stat.S_ISSOCK(os.stat(SOCKET).st_mode)
    except OSError:
        return False


class Bus:
    """A connection to the system bus, all of which ends `seconds` after it began.

    Raises AbsentError when there is no bus for us, and Code.INTERNAL for one that does
    not answer in time or not in the words of D-Bus.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._serial = 0
        self._parser: Any = None
        self._socket = self._connected()
        with ExitStack() as undo:
            undo.callback(self._socket.close)
            self._introduce()
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._socket.close()

    def owner_pid(self, name: str) -> int | None:
        """Return the process that owns `name`, in the bus's numbers; None: nobody."""
        try:
            answer = self._ask_bus("GetConnectionUnixProcessID", name)
        except RefusedError as error:
            if error.name == "org.freedesktop.DBus.Error.NameHasNoOwner":
                return None
            raise
        return int(answer[0])

    def call(
        self, name: str, path: str, method: str, *arguments: str
    ) -> tuple[Any, ...]:
        """Return what `method`, with its interface before it, of `path` answers.

        A service that does not run is not started for it. Raises RefusedError.
        """
        from jeepney import DBusAddress, MessageFlag, new_method_call  # noqa: PLC0415 - only where a bus is

        interface, _, member = method.rpartition(".")
        address = DBusAddress(path, name, interface)
        message = new_method_call(address, member, "s" * len(arguments), arguments)
        message.header.flags = MessageFlag.no_auto_start
        return self._answer(message, f"call {method}")

    def _ask_bus(self, member: str, *arguments: str) -> tuple[Any, ...]:
        bus = "org.freedesktop.DBus"
        return self.call(bus, "/org/freedesktop/DBus", f"{bus}.{member}", *arguments)

    def _answer(self, message: Any, what: str) -> tuple[Any, ...]:
        from jeepney import HeaderFields, MessageType  # noqa: PLC0415 - as in call

        self._serial += 1
        self._send(message.serialise(serial=self._serial))
        for answer in self._messages():
            fields = answer.header.fields
            if fields.get(HeaderFields.reply_serial) != self._serial:
                continue  # a signal for everybody, such as NameAcquired
            if answer.header.message_type is MessageType.error:
                name = str(fields.get(HeaderFields.error_name, ""))
                said = answer.body[0] if answer.body else ""
                raise RefusedError(what, name, said if type(said) is str else "")
            return tuple(answer.body)
        raise AssertionError  # there is no end of messages but an exception

    def _messages(self) -> Iterator[Any]:
        """Yield what arrives; of a message that is not whole the rest comes later."""
        heard = 0
        while heard < _ANSWER_MAX:
            content = self._received()
            heard += len(content)
            try:
                yield from self._parser.feed(content)
            except (ValueError, LookupError, struct.error) as error:
                raise _failure(f"decode answer of system bus: {error}") from error
        raise _failure("decode answer of system bus: it has no end")

    def _connected(self) -> socket:
        """Return a socket that is connected to the first bus that listens."""
        refusal: OSError | None = None
        for address in _addresses():
            found = socket(AF_UNIX, SOCK_STREAM)
            try:
                # Unlike a Python timeout this also waits for room in a full queue.
                self._limit(found)
                found.connect(address)
            except OSError as error:
                found.close()
                if error.errno not in _NOBODY:
                    raise self._lost(error) from error
                refusal = error
            else:
                return found
        cause = str(refusal.strerror if refusal else "no address").lower()
        raise AbsentError(Code.INTERNAL, f"connect to system bus: {cause}")

    def _introduce(self) -> None:
        """Introduce us to the bus: by our user ID, and then by a name (Hello)."""
        from jeepney import Parser  # noqa: PLC0415 - as in call
        from jeepney.auth import BEGIN, AuthenticationError, Authenticator  # noqa: PLC0415 - as in call

        conversation = Authenticator()
        try:
            for line in conversation:
                self._send(line)
                conversation.feed(self._received())
        except AuthenticationError as error:
            # So it is for root of a user namespace, whom the bus does not believe.
            msg = f"connect to system bus: {str(error).lower()}"
            raise AbsentError(Code.INTERNAL, msg) from error
        self._send(BEGIN)
        self._parser = Parser()
        self._ask_bus("Hello")

    def _send(self, content: bytes) -> None:
        try:
            self._limit(self._socket)
            self._socket.sendall(content, MSG_NOSIGNAL)
        except OSError as error:
            raise self._lost(error) from error

    def _received(self) -> bytes:
        try:
            self._limit(self._socket)
            content = self._socket.recv(_CHUNK)
        except OSError as error:
            raise self._lost(error) from error
        if not content:
            raise _failure("ask system bus: it closed the connection")
        return content

    def _limit(self, waiting: socket) -> None:
        """Set the time at which the kernel ends any waiting on the socket."""
        rest = self._deadline - time.monotonic()
        if rest <= 0:
            raise TimeoutError
        whole, part = divmod(int(rest * _MICROSECONDS) or 1, _MICROSECONDS)
        for option in (SO_RCVTIMEO, SO_SNDTIMEO):
            value = _TIMEVAL.pack(whole, part)
            waiting.setsockopt(SOL_SOCKET, option, value)

    def _lost(self, error: OSError) -> CNIError:
        if isinstance(error, BlockingIOError | TimeoutError):
            return _failure(f"ask system bus: no answer within {self._seconds:g} s")
        return _failure(f"ask system bus: {cause_of(error)}")


def _addresses() -> Iterator[str]:
    """Yield the sockets where the system bus may listen, in their order."""
    stated = os.environ.get(ADDRESS)
    if not stated:
        yield SOCKET
        return
    from jeepney.bus import get_connectable_addresses  # noqa: PLC0415 - as in call

    try:
        yield from get_connectable_addresses(stated)
    except (RuntimeError, ValueError) as error:
        msg = f"parse {ADDRESS}: {stated!r:.80} names no unix socket"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg) from error


def _failure(msg: str) -> CNIError:
    return CNIError(Code.INTERNAL, msg)
