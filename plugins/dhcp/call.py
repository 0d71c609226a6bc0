# SPDX-License-Identifier: Apache-2.0
"""Asking the keeper of leases, ours or the reference's daemon."""

from __future__ import annotations

import time
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM, socket

from cni_common.spec.errors import CNIError, Code, cause_of, is_absence
from plugins.dhcp import gob, wire

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, TypeVar

    from cni_common.spec.request import Request

    Answer = TypeVar("Answer")

_AGAIN = 0.1  # seconds between two attempts to find a keeper that was there
_CODE = " (code "
_WAY_OUT = "start `cnipy dhcp`, or have systemd do so: build.sh install --dhcp"


class AbsentError(CNIError):
    """Nobody listens; a keeper may take `coming` seconds to do so."""

    coming = 2.0


class _DiedError(AbsentError):
    """Somebody has: a host that has much to do starts the next one slowly."""

    coming = 15.0


class _LostError(Exception):
    """The keeper has ended in the midst of a call."""


def call(
    path: str, method: str, request: Request, seconds: float, *, patient: bool = False
) -> dict[str, Any]:
    """Return what the keeper at `path` replies to `method` within so many seconds.

    If that ends in the midst of the call the next one is asked: what it did is on
    record, and no call does more if it is repeated. If `patient`, a keeper that is not
    there has a moment to come.
    Raises its error, AbsentError, and Code.TRY_AGAIN_LATER.
    """
    deadline = time.monotonic() + seconds
    return _again(
        path,
        lambda: _called(path, method, request, deadline),
        deadline,
        patient=patient,
    )


def listens(path: str, seconds: float) -> None:
    """Raise AbsentError or Code.TRY_AGAIN_LATER unless a keeper answers at `path`."""
    deadline = time.monotonic() + seconds
    _again(path, lambda: _greeted(path, deadline), deadline, patient=False)


def _again(
    path: str, ask: Callable[[], Answer], deadline: float, *, patient: bool
) -> Answer:
    """Return what `ask` does, as `call` has it."""
    began = time.monotonic()
    lost = False
    while True:
        try:
            return ask()
        except AbsentError as absence:
            coming = absence.coming if patient else 0.0
            until = deadline if lost else began + coming
            if time.monotonic() + _AGAIN >= min(until, deadline):
                raise
        except _LostError as loss:
            if time.monotonic() + _AGAIN >= deadline:
                msg = f"call keeper of leases at {path}: it ended"
                raise CNIError(Code.TRY_AGAIN_LATER, msg) from loss
            lost = True
        time.sleep(_AGAIN)


def _greeted(path: str, deadline: float) -> None:
    with _Line(path, deadline) as line:
        line.open()


def _called(
    path: str, method: str, request: Request, deadline: float
) -> dict[str, Any]:
    with _Line(path, deadline) as line:
        line.open()
        out = gob.Writer()
        args = {
            "ContainerID": request.container_id,
            "Netns": request.netns,
            "IfName": request.ifname,
            "Args": request.args,
            "Path": request.env.get("CNI_PATH", ""),
            "StdinData": request.stdin,
        }
        line.send(
            out.message(wire.CALL, {"ServiceMethod": method})
            + out.message(wire.ARGS, args)
        )
        said = line.value()
        if said.get("Error"):
            raise _reported(said["Error"])
        return line.value()


def _reported(text: str) -> CNIError:
    """Return an error of the keeper, with its code if that is ours."""
    told, found, code = text.rpartition(_CODE)
    if found and code.endswith(")") and code[:-1].isdecimal():
        return CNIError(int(code[:-1]), told)
    return CNIError(Code.INTERNAL, f"call keeper of leases: {text}")


class _Line:
    """A connection to the keeper, which is waited for up to `deadline`."""

    def __init__(self, path: str, deadline: float) -> None:
        self._path = path
        self._deadline = deadline
        self._in = gob.Reader()
        self._socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._socket.close()

    def open(self) -> None:
        """Have the keeper ready to be called; raises as `call` does."""
        self._connect()
        self.send(wire.HELLO)
        self._welcomed()

    def _connect(self) -> None:
        try:
            self._hurry()
            self._socket.connect(self._path)
        except OSError as error:
            msg = f"call keeper of leases at {self._path}: {cause_of(error)}"
            if isinstance(error, ConnectionRefusedError):
                raise _DiedError(Code.TRY_AGAIN_LATER, msg, _WAY_OUT) from error
            if is_absence(error):
                raise AbsentError(Code.TRY_AGAIN_LATER, msg, _WAY_OUT) from error
            raise CNIError(Code.TRY_AGAIN_LATER, msg) from error

    def _welcomed(self) -> None:
        head = b""
        while not head.endswith((b"\n\n", b"\n\r\n")):
            head += self._some(1)
            if len(head) > wire.HEAD_MAX:
                break
        if b" 200 " not in head.partition(b"\n")[0]:
            msg = f"call keeper of leases at {self._path}: it is somebody else"
            raise CNIError(Code.INTERNAL, msg, head.decode("utf-8", "replace").strip())

    def send(self, content: bytes) -> None:
        self._hurry()
        try:
            self._socket.sendall(content)
        except TimeoutError as error:
            raise self._late() from error
        except OSError as error:
            raise _LostError from error

    def value(self) -> dict[str, Any]:
        """Return the next struct."""
        try:
            while True:
                first = self._some(1)[0]
                size = gob.length(first, self._some(gob.width(first)))
                found = self._in.value(self._some(size))
                if found is not None:
                    return found
        except ValueError as error:
            msg = f"call keeper of leases at {self._path}: it answered {error}"
            raise CNIError(Code.INTERNAL, msg) from error

    def _some(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            self._hurry()
            try:
                part = self._socket.recv(size - len(found))
            except TimeoutError as error:
                raise self._late() from error
            except OSError as error:
                raise _LostError from error
            if not part:
                raise _LostError
            found += part
        return found

    def _hurry(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._late()
        self._socket.settimeout(left)

    def _late(self) -> CNIError:
        msg = f"call keeper of leases at {self._path}: it did not answer in time"
        return CNIError(Code.TRY_AGAIN_LATER, msg)
