# SPDX-License-Identifier: Apache-2.0
"""A child of the warm server: it waits for a call, serves it, and waits again.

It serves one call at a time, and ends rather than take anything of one call into the
next: after a call that failed, and when a descriptor or a namespace is left over.
"""

from __future__ import annotations

import ctypes
import gc
import io
import mmap
import os
import signal
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import plugins
from cni_common.kernel import link_removal, links, nft
from cni_common.spec.errors import CNIError
from launcher import served
from launcher.loading import load

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from launcher.served import Main

SPARES = 4  # children that wait for a call
CALLS = 100  # what one child serves, so that nothing it hoards grows for long
IDLE, BUSY = b"cnipy-idle", b"cnipy-call"
_TOLD = struct.Struct("=i")
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_libc = ctypes.CDLL(None)


class Waiting:
    """How many children wait for a call: the server writes it, children read it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)  # shared with children

    @property
    def count(self) -> int:
        """The number of waiting children, as the server knew it last."""
        return self._memory[0]

    @count.setter
    def count(self, number: int) -> None:
        self._memory[0] = min(number, 255)


class Server(NamedTuple):
    """What a child knows of its server; `tell` is the pipe on which it is told."""

    tell: int
    waiting: Waiting
    build: str
    namespaces: tuple[str, ...]


def live(listener: socket.socket, server: Server, main: Main) -> NoReturn:
    """Be a child of `server` until there is a reason to end."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        gc.disable()
        parent = os.getppid()
        _control(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _rehearse(main)
        held = _descriptors()
        _control(_PR_SET_NAME, IDLE)
        for _ in range(CALLS):
            if os.getppid() != parent or not _serve(listener, server, main):
                break
            # The server may not have heard yet that this one was busy.
            if server.waiting.count > SPARES or not _as_before(held, server):
                break
            _wait_again(server)
        status = 0
    except BaseException:  # noqa: BLE001 - nobody else would tell of it
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def told(text: bytes) -> Iterable[int]:
    """Return what children told: their process IDs, negative when they have a call."""
    return [number for (number,) in _TOLD.iter_unpack(text)]


def _serve(listener: socket.socket, server: Server, main: Main) -> bool:
    connection, _ = listener.accept()
    with connection:
        # From here on the call is its own master, whatever becomes of the server.
        _control(_PR_SET_PDEATHSIG, 0)
        _control(_PR_SET_NAME, BUSY)
        os.write(server.tell, _TOLD.pack(-os.getpid()))
        return served.serve_one(connection, server.build, server.namespaces, main)


def _as_before(held: list[str], server: Server) -> bool:
    """Tell whether this process is where it was, and holds nothing of the call."""
    nft.release()
    link_removal.settle()
    here = served.namespaces("thread-self") == server.namespaces
    return here and _descriptors() == held


def _wait_again(server: Server) -> None:
    gc.collect()
    _control(_PR_SET_NAME, IDLE)
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.write(server.tell, _TOLD.pack(os.getpid()))


def _descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def _rehearse(main: Main) -> None:
    """Have the pages that every call writes to copied while nobody waits for it.

    A GC of loopback goes through all that calls have in common and does nothing; the
    libraries are used once, and what they opened is closed.
    """
    conf = b'{"cniVersion": "1.1.0", "name": "rehearsal", "type": "loopback"}'
    env = {"CNI_COMMAND": "GC", "CNI_PATH": "/"}
    main(["loopback"], env, io.BytesIO(conf), io.BytesIO(), io.StringIO())
    for name in plugins.REGISTER:
        load(name).conf.model_validate({"name": name})
    with suppress(CNIError, OSError):  # the call will say what is wrong
        links.rehearse()
        nft.rehearse()


def _control(option: int, value: int | bytes) -> None:
    """Do what prctl(2) does."""
    _libc.prctl(option, value, 0, 0, 0)
