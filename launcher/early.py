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
    if argv[0].endswith("/cnipy"):
        from launcher import client

        if argv[1:2] and argv[1] in client.CHANGES:
            _hand_over(build, argv)
    elif command == b"VERSION":
        from launcher import version

        rest = version.answer(argv[0])
        if rest is None:
            _exit(0)
        text = rest
    else:
        if not command:
            from launcher import version

            if version.introduce(argv[0]):
                _exit(0)
        _hand_over(build, argv)
    from launcher import main

    main.run(argv, text)


def _hand_over(build: str, argv: list[str]) -> None:
    """Have a server carry out the call, if one does; does not return then."""
    # The small client has asked the server already (per_cpu.py).
    if "cold" not in sys._xoptions:  # noqa: SLF001 - documented, if of CPython only
        from launcher import client

        status = client.call(build, argv)
        if status is not None:
            _exit(status)
