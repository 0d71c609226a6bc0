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
import socket
import stat
from contextlib import suppress
from functools import partial

import plugins
from cni_common.kernel import nft, pyroute2_messages
from cni_common.spec.errors import CNIError
from launcher import child, crew, peer
from launcher.client import SOCKET
from launcher.ending import Ending
from launcher.everything import build_every_model
from launcher.loading import FIRST_BYTES, load

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from launcher.served import Main

BACKLOG = 512
IDLE = 600.0  # seconds, for a server that systemd starts again at the next call
_LISTEN_FDS_START = 3


def serve(archive: str, main: Main, path: str = "", idle: float | None = None) -> str:
    """Serve calls of the build that `archive` is packed from; return why no longer.

    Listens at `path` or the usual place, unless systemd passes a socket. Ends when
    nobody has called for `idle` seconds, 0 for never. Raises OSError.
    """
    path = path or SOCKET
    given = inherited_listener()
    if given is None:
        _remove_dead(path)
    if idle is None:
        idle = IDLE if given else 0
    ending = Ending(archive, idle, build_of)
    prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    itself = child.Server(ending.build, peer.standing("self"))
    children = crew.Crew(partial(child.live, server=itself, main=main), given, ending)
    children.gather()
    # Who finds the socket finds somebody who waits for a call.
    if given:
        be_listener(given)
        children.serve(given)
    else:
        with listen(path) as listener:
            bound = os.lstat(path)
            children.serve(listener)
            # Another, of systemd's perhaps, may have taken its place.
            if os.path.exists(path) and os.path.samestat(os.lstat(path), bound):
                os.unlink(path)
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


def listen(path: str) -> socket.socket:
    """Return a socket at `path` with mode 0600, in a directory of root's.

    One that nobody listens on any more is replaced. Raises OSError.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"listen on {path}: {directory} is not our directory")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"listen on {path}: {directory} is writable by others")
    _remove_dead(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def inherited_listener() -> socket.socket | None:
    """Return the socket that systemd passed (sd_listen_fds(3)), or None."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    if os.environ.get("LISTEN_FDS") != "1":
        return None
    os.set_inheritable(_LISTEN_FDS_START, False)
    return socket.socket(fileno=_LISTEN_FDS_START)


def prepare() -> None:
    """Load what a call may need, into pages that children share.

    Models are built and have validated once, so that what they make at first use is
    made here and not in each child.
    """
    build_every_model()
    pyroute2_messages.build_tables()
    for name in plugins.REGISTER:
        load(name).conf.model_validate({"name": name})
    with suppress(CNIError):  # a host without the library is told so by its calls
        nft.load()
    gc.collect()
    gc.freeze()
    with suppress(AttributeError):  # it is glibc's
        ctypes.CDLL(None).malloc_trim(0)


def _remove_dead(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(f"listen on {path}: it is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise FileExistsError(f"listen on {path}: a server is listening there")
