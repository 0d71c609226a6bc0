# SPDX-License-Identifier: Apache-2.0
"""A child of the warm server: it waits for a call, serves it, and waits again.

It serves one call at a time, and ends rather than take anything of one call into the
next: after a call that failed, and when a descriptor or a namespace is left over.
"""

from __future__ import annotations

import ctypes
import gc
import io
import os
import signal
import sys
from contextlib import suppress

import plugins
from cni_common.frame import counters
from cni_common.kernel import link_removal, links, nft
from cni_common.spec.errors import CNIError
from cni_common.spec.values import NamedTuple
from launcher import crew, peer, served
from launcher.loading import load

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import NoReturn

    from launcher.served import Main

CALLS = 100  # what one child serves, so that nothing it hoards grows for long
IDLE, BUSY = b"cnipy-idle", b"cnipy-call"
_PR_SET_NAME = 15
_libc = ctypes.CDLL(None)


class Server(NamedTuple):
    """What a child knows of its server."""

    build: str
    own: peer.Standing


def live(
    channel: socket.socket,
    servers: Sequence[socket.socket],
    server: Server,
    main: Main,
) -> NoReturn:
    """Be a child of `server` until there is a reason to end.

    Calls come by `channel`; `servers` are sockets of the server's own: they are closed.
    """
    status = 1
    try:
        for each in servers:
            each.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        gc.disable()
        _warm_up(main)
        held = _descriptors()
        for _ in range(CALLS):
            _name(IDLE)
            connection = crew.next_call(channel)
            if connection is None:
                break
            with connection:
                _name(BUSY)
                fit = served.serve_one(connection, server.build, server.own, main)
            if not fit or not _as_before(held, server):
                break
            gc.collect()
        status = 0
    except BaseException:  # noqa: BLE001 - nobody else would tell of it
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _as_before(held: list[str], server: Server) -> bool:
    """Tell whether this process is where it was, and holds nothing of the call."""
    nft.release()
    link_removal.settle()
    return peer.standing("thread-self") == server.own and _descriptors() == held


def _descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def _warm_up(main: Main) -> None:
    """Copy the pages that every call writes to while nobody waits for it.

    A GC of loopback goes through all that calls have in common and does nothing; the
    libraries are used once, and what they opened is closed.
    """
    conf = b'{"cniVersion": "1.1.0", "name": "warm-up", "type": "loopback"}'
    env = {"CNI_COMMAND": "GC", "CNI_PATH": "/"}
    with counters.Paused():  # nobody has called
        main(["loopback"], env, io.BytesIO(conf), io.BytesIO(), io.StringIO())
    for name in plugins.REGISTER:
        load(name).conf.model_validate({"name": name})
    with suppress(CNIError, OSError):  # the call will say what is wrong
        links.warm_up()
        nft.warm_up()


def _name(name: bytes) -> None:
    """Be called `name` by ps(1)."""
    _libc.prctl(_PR_SET_NAME, name, 0, 0, 0)
