# SPDX-License-Identifier: Apache-2.0
"""The warm server: everything imported once, a forked child for each call.

It holds no lock, no thread and no netlink socket. A few children wait for a call at any
time, so that a caller need not wait for a fork.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from contextlib import suppress
from functools import partial
from importlib import import_module

import plugins
from cni_common import own_socket
from cni_common.kernel import nft, pyroute2_messages
from cni_common.spec.errors import CNIError
from launcher import child, crew, peer, scrape
from launcher.client import SOCKET
from launcher.ending import Ending
from launcher.everything import build_every_model
from launcher.loading import FIRST_BYTES, load

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    import socket

    from launcher.served import Main

# What the verbs of the command need that a server may carry out.
_CHANGES = ("cnipy.main", "cnipy.published", "cnipy.limited", "cnipy.named")
BACKLOG = 512
IDLE = 600.0  # seconds, for a server that systemd starts again at the next call


def serve(archive: str, main: Main, path: str = "", idle: float | None = None) -> str:
    """Serve calls of the build that `archive` is packed from; return why no longer.

    Listens at `path` or the usual place, unless systemd passes a socket. Ends when
    nobody has called for `idle` seconds, 0 for never. Raises OSError.
    """
    path = path or SOCKET
    passed = own_socket.passed(os.environ)
    given = next((each for each in passed if not scrape.is_window(each)), None)
    if given is None:
        own_socket.remove_dead(path)
    if idle is None:
        idle = IDLE if given else 0
    ending = Ending(archive, idle, build_of)
    prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    itself = child.Server(ending.build, peer.standing("self"))
    window = scrape.beside(path, passed, archive, main)
    live = partial(child.live, server=itself, main=main)
    children = crew.Crew(live, given, ending, window)
    children.gather()
    # Who finds the socket finds somebody who waits for a call.
    if given:
        be_listener(given)
        children.serve(given)
    else:
        with own_socket.listen(path, BACKLOG) as listener:
            bound = os.lstat(path)
            children.serve(listener)
            own_socket.remove_if(path, bound)
    if window:
        window.close()
    return ending.reason


def be_listener(given: socket.socket) -> None:
    """Show callers this process, which is awake, as the one that listens.

    What they see is whoever called listen(2) last. Where that is not permitted they
    are in a hurry, as if nobody were awake yet.
    """
    with suppress(PermissionError):
        given.listen(BACKLOG)


def build_of(archive: str) -> str:
    """Return the build that the first bytes of a packed file state."""
    marker = b"# cnipy, build "
    with open(archive, "rb") as file:
        for line in file.read(FIRST_BYTES).splitlines():
            if line.startswith(marker):
                return os.fsdecode(line.removeprefix(marker))
    raise ValueError(f"serve {archive}: it is not a packed file")


def prepare() -> None:
    """Load what a call may need, into pages that children share.

    Models are built and have validated once, so that what they make at first use is
    made here and not in each child.
    """
    build_every_model()
    for module in _CHANGES:
        import_module(module)
    pyroute2_messages.build_tables()
    for name in plugins.REGISTER:
        load(name).conf.model_validate({"name": name})
    with suppress(CNIError):  # a host without the library is told so by its calls
        nft.load()
    gc.collect()
    gc.freeze()
    with suppress(AttributeError):  # it is glibc's
        ctypes.CDLL(None).malloc_trim(0)
