# SPDX-License-Identifier: Apache-2.0
"""Run another program: the one place that starts processes."""

from __future__ import annotations

import errno
import subprocess
import time

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_TEXT_BUSY_ATTEMPTS = 5
_TEXT_BUSY_PAUSE = 0.05


def execute(
    command: Sequence[str],
    stdin: bytes,
    env: Mapping[str, str],
    before: Callable[[], None] | None = None,
) -> tuple[int, bytes, bytes]:
    """Run `command` with `stdin` and `env`; return its status, stdout and stderr.

    An executable that is being written at this moment (ETXTBSY) is tried again for
    a quarter of a second, as libcni does. The new process calls `before` first: it may
    make system calls, and no more. Raises OSError when it cannot be started.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            ended = subprocess.run(  # noqa: S603 - no shell; and no threads
                list(command),
                input=stdin,
                env=dict(env),
                capture_output=True,
                check=False,
                preexec_fn=before,
            )
        except subprocess.SubprocessError as error:  # the words of `before` are lost
            msg = f"what goes before {command[0]} failed"
            raise OSError(errno.EPERM, msg) from error
        except OSError as error:
            if error.errno != errno.ETXTBSY or attempt == _TEXT_BUSY_ATTEMPTS:
                raise
            time.sleep(_TEXT_BUSY_PAUSE)
        else:
            return ended.returncode, ended.stdout, ended.stderr
