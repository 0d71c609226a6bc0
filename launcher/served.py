# SPDX-License-Identifier: Apache-2.0
"""One warm call, in the process that was forked for it.

It is the process that a cold start would have been, with the caller's descriptors,
environment, working directory and umask, and ends when its caller does.
"""

from __future__ import annotations

import array
import fcntl
import io
import os
import select
import signal
import socket
import sys

from cni_common.spec.errors import last_words
from launcher import peer
from launcher.client import ACCEPTED, READY
from launcher.peer import RefusedError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO, NoReturn, TextIO

    Main = Callable[[Sequence[str], Mapping[str, str], BinaryIO, BinaryIO, TextIO], int]

REQUEST_MAX = 4 << 20  # bytes; the kernel's own limit for arguments and environment
DESCRIPTORS = 5  # stdin, stdout, stderr, working directory, lifeline


class OtherBuildError(RefusedError):
    """The caller's build is not the server's: one of them is not installed any more."""


def serve_one(
    connection: socket.socket, build: str, own: peer.Standing, main: Main
) -> bool:
    """Serve the call that comes by `connection`, or close it to refuse.

    `own` is where the server stands. Afterwards the caller has its exit status, and
    this process nothing of the caller's. Returns false for a call that failed or is of
    another build; what was refused may have left descriptors here.
    """
    try:
        peer.check(connection, own)
        # Only now the caller hands over what somebody waits for to be closed.
        connection.sendall(READY)
        argv, env, umask, descriptors = receive(connection, build)
        *descriptors, lifeline = descriptors
        _end_with(lifeline)
    except (RefusedError, OSError, ValueError) as error:
        return not isinstance(error, OtherBuildError)
    connection.sendall(ACCEPTED)
    for target, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, target)
    os.fchdir(descriptors[3])
    for descriptor in descriptors:
        os.close(descriptor)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(env)
    last_words.append(lambda _: _end(connection))
    status = run(main, argv, env)
    last_words.clear()
    _leave(lifeline)
    connection.sendall(b"%d" % status)
    return status == 0


def _end(connection: socket.socket) -> NoReturn:
    """End in the midst of a call that has told the caller why."""
    try:
        connection.sendall(b"1")
    finally:
        os._exit(1)


def _leave(lifeline: int) -> None:
    """Let go of all that is the caller's, who may wait for the end of its pipes.

    The caller's end does not end this process any more.
    """
    # The caller has the same open file description, and may close it later than we.
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags & ~os.O_ASYNC)
    os.close(lifeline)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for target in range(3):
        os.dup2(nothing, target)
    os.close(nothing)
    os.chdir("/")
    os.environ.clear()


def run(main: Main, argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Return the exit status of one call on the process's own streams."""
    stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)
    # Not buffered, as in main.py: what stdout refuses is refused inside the call.
    with (
        io.FileIO(0, closefd=False) as stdin,
        open(1, "wb", buffering=0, closefd=False) as stdout,
    ):
        try:
            return main(argv, env, io.BufferedReader(stdin), stdout, stderr)
        except SystemExit as end:  # of a command line that was not understood
            sys.stdout.flush()
            sys.stderr.flush()
            return end.code if isinstance(end.code, int) else 1


def receive(
    connection: socket.socket, build: str
) -> tuple[list[str], dict[str, str], int, list[int]]:
    """Return argv, environment, umask and descriptors of a call of this `build`."""
    size = array.array("i").itemsize * DESCRIPTORS
    data, ancillary, _, _ = connection.recvmsg(
        1 << 16, socket.CMSG_SPACE(size), socket.MSG_CMSG_CLOEXEC
    )
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content)
    if len(descriptors) != DESCRIPTORS:
        raise RefusedError
    text = _whole(connection, data).split(b"\0")
    if text[0].decode() != build:
        raise OtherBuildError
    umask, count = int(text[1]), int(text[2])
    argv = [os.fsdecode(part) for part in text[3 : 3 + count]]
    return argv, _variables(text[3 + count :]), umask, list(descriptors)


def _variables(parts: Sequence[bytes]) -> dict[str, str]:
    """Return what a shell would pass on: the last of a name, none without one."""
    pairs = (os.fsdecode(part).partition("=") for part in parts)
    return {name: value for name, mark, value in pairs if name and mark}


def _whole(connection: socket.socket, data: bytes) -> bytes:
    header = 4
    length = int.from_bytes(data[:header], "big")
    if len(data) < header or length > REQUEST_MAX:
        raise RefusedError
    parts = [data[header:]]
    missing = length - len(parts[0])
    while missing > 0:
        part = connection.recv(min(missing, 1 << 16))
        if not part:
            raise RefusedError
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _end_with(lifeline: int) -> None:
    """Let the kernel end this process when the caller, the pipe's writer, ends.

    SIGIO's default action is to end the process. Nothing is ever written to the pipe,
    so that it signals nothing but the hang-up; on the connection the signal for the
    request itself may come after the request has been read. Raises RefusedError when
    the caller has ended already.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        raise RefusedError
