# SPDX-License-Identifier: Apache-2.0
"""The first decision of a call: answer it here, hand it over, or start cold.

Up to that point nothing is imported that is not compiled into the interpreter.
"""

import posix
import sys
from posix import _exit


def run(build: str, argv: list[str]) -> None:
    """Serve the call `argv` from an extracted tree of `build`; does not return."""
    text = b""
    command = posix.environ.get(b"CNI_COMMAND")
    if command == b"VERSION":
        from launcher import version

        rest = version.answer(argv[0])
        if rest is None:
            _exit(0)
        text = rest
    elif not argv[0].endswith("/cnipy"):
        if not command:
            from launcher import version

            if version.introduce(argv[0]):
                _exit(0)
        # The small client has asked the server already (per_cpu.py).
        if "cold" not in sys._xoptions:  # noqa: SLF001 - documented, if of CPython only
            from launcher import client

            status = client.call(build, argv)
            if status is not None:
                _exit(status)
    from launcher import main

    main.run(argv, text)
