# SPDX-License-Identifier: Apache-2.0
"""One call: the base name of argv[0] chooses who answers.

No state is taken from the process: `main` serves a cold start and a test alike.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Literal, NoReturn, TextIO

from plugins import REGISTER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

        return operate(argv[1:], env, stdout, stderr)
    if name not in REGISTER:
        stderr.write(f"{name}: not one of {COMMAND}, {', '.join(sorted(REGISTER))}\n")
        return 1
    from cni_common import skel
    from launcher.loading import load
    from launcher.ours import finder

    plugin = partial(load, name)
    return skel.run(name, plugin, env, stdin, stdout, stderr, ours=finder(argv[0]))


def run(argv: Sequence[str]) -> NoReturn:
    """Run `main` on this process's own streams, and end the process with its status.

    It ends without the interpreter's farewell, which frees one by one what the
    kernel takes back at once, and which would report a broken stdout as status 120.
    """
    status = 1
    try:
        with _stream(0, "rb") as stdin, _stream(1, "wb") as stdout:
            status = main(argv, os.environ, stdin, stdout, sys.stderr)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except Exception:  # noqa: BLE001 - the interpreter's farewell would report it
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status)


def _stream(descriptor: int, mode: Literal["rb", "wb"]) -> BinaryIO:
    return open(descriptor, mode, closefd=False)
