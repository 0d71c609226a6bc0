# SPDX-License-Identifier: Apache-2.0
"""One call: the base name of argv[0] chooses who answers.

No state is taken from the process: `main` serves a cold start and a test alike.
"""

from __future__ import annotations

import gc
import io
import os
import sys

from cni_common.spec.errors import last_words
from plugins import REGISTER, VERSION, release_of, versions_of

# Importing typing for its constant alone would cost half as much as the interpreter.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO, NoReturn, TextIO

    from cnipy.suite import Keeper, Suite

COMMAND = "cnipy"


def main(
    argv: Sequence[str],
    env: Mapping[str, str],
    stdin: BinaryIO,
    stdout: BinaryIO,
    stderr: TextIO,
) -> int:
    """Run the plugin or the command that argv[0] names; return its exit status."""
    name = os.path.basename(argv[0])
    if name == COMMAND:
        from cnipy.main import main as operate

        return operate(argv, env, stdout, stderr, _suite())
    if name not in REGISTER:
        stderr.write(f"{name}: not one of {COMMAND}, {', '.join(sorted(REGISTER))}\n")
        return 1
    from cni_common.frame import skel
    from launcher.loading import Registered, finder

    return skel.run(
        name,
        lambda: Registered(name),
        env,
        stdin,
        stdout,
        stderr,
        ours=finder(argv[0]),
        versions=versions_of(name),
        release=release_of(name),
    )


def _suite() -> Suite:
    from cnipy.suite import Suite
    from launcher import keys, loading, probe

    return Suite(
        names=tuple(REGISTER),
        serve=_serve,
        keep_leases=_keep_leases,
        keepers=_keepers,
        unread=keys.unread,
        refused=keys.refused,
        read=keys.read,
        warm=probe.warm,
        plugin=loading.load,
        recording=tuple(n for n in REGISTER if REGISTER[n].get("records", True)),
        keys=keys.known,
        uid=os.geteuid(),
        versions=versions_of,
        version=VERSION,
    )


def _serve(archive: str, path: str, idle: float | None) -> str:
    from launcher import server

    return server.serve(archive, main, path, idle)


def _keep_leases(path: str, prefix: str, tell: Callable[[str], None]) -> None:
    from cni_common import own_socket
    from cnipy.keeper import server

    server.serve(path, prefix, tell, own_socket.inherited(os.environ))


def _keepers() -> list[Keeper]:
    from cnipy.keeper.outlook import keepers

    return keepers()


def run(argv: Sequence[str], text: bytes = b"") -> NoReturn:
    """Run `main` on this process's own streams, and end the process with its status.

    `text` is what has been read of stdin already, if it has been.

    It ends without the interpreter's farewell, which frees one by one what the
    kernel takes back at once, and which would report a broken stdout as status 120.
    """
    # A call ends before garbage gathers; the collector would only walk, again and
    # again, over what imports bring.
    gc.disable()
    last_words.append(lambda _: os._exit(1))
    status = 1
    try:
        # Not buffered: what stdout refuses is refused once, where the answer is given.
        with (
            io.BytesIO(text) if text else open(0, "rb", closefd=False) as stdin,
            open(1, "wb", buffering=0, closefd=False) as stdout,
        ):
            status = main(argv, os.environ, stdin, stdout, sys.stderr)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except Exception:
        if os.path.basename(argv[0]) != COMMAND:
            raise  # a part of the tree is missing: gate.py says so to the runtime
        sys.excepthook(*sys.exc_info())
    flushed = _flushed(sys.stdout)
    _flushed(sys.stderr)  # nobody depends on it
    os._exit(status if flushed else 1)


def _flushed(stream: TextIO) -> bool:
    try:
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return False
    return True
