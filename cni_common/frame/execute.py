# SPDX-License-Identifier: Apache-2.0
"""Run another program: the one place that starts processes."""

from __future__ import annotations

import errno
import subprocess
import time

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TEXT_BUSY_ATTEMPTS = 5
_TEXT_BUSY_PAUSE = 0.05


def execute(
    command: Sequence[str], stdin: bytes, env: Mapping[str, str]
) -> tuple[int, bytes, bytes]:
    """Run `command` with `stdin` and `env`; return its status, stdout and stderr.

    An executable that is being written at this moment (ETXTBSY) is tried again for
    a quarter of a second, as libcni does. Raises OSError when it cannot be started.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            ended = subprocess.run(  # noqa: S603 - a list of arguments, no shell
                list(command),
                input=stdin,
                env=dict(env),
                capture_output=True,
                check=False,
            )
        except OSError as error:
            if error.errno != errno.ETXTBSY or attempt == _TEXT_BUSY_ATTEMPTS:
                raise
            time.sleep(_TEXT_BUSY_PAUSE)
        else:
            return ended.returncode, ended.stdout, ended.stderr
