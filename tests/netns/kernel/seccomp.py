# SPDX-License-Identifier: Apache-2.0
"""A kernel that refuses a system call: seccomp, in a thread of its own.

What the thread starts is refused the same; the rest of the process is not.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import threading
from typing import TYPE_CHECKING

from lab import lacking

if TYPE_CHECKING:
    from collections.abc import Callable

# Numbers of system calls by machine (asm/unistd.h).
CALLS = {
    "x86_64": {"sendto": 44, "socket": 41},
    "aarch64": {"sendto": 206, "socket": 198},
}
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_ARGUMENTS = 16  # where they begin in struct seccomp_data, eight octets each

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refusing(
    call: str, number: int, act: Callable[[], object], *arguments: tuple[int, int]
) -> Exception | None:
    """Return what `act` raises where the kernel answers `call` with errno `number`.

    `arguments` are pairs of index and value: only calls that have them are refused.
    """
    raised: list[Exception] = []

    def inside() -> None:
        _forbid(call, number, arguments)
        try:
            act()
        except Exception as error:  # noqa: BLE001 - it is the result
            raised.append(error)

    if platform.machine() not in CALLS:
        lacking(f"numbers of system calls on {platform.machine()}")
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def _forbid(call: str, number: int, arguments: tuple[tuple[int, int], ...]) -> None:
    tests = [(0, CALLS[platform.machine()][call])]
    tests += [(_ARGUMENTS + 8 * index, value) for index, value in arguments]
    code = b""
    for left, (offset, value) in zip(range(len(tests), 0, -1), tests, strict=True):
        allow = 2 * (left - 1) + 1
        code += struct.pack("=HBBI", _LOAD, 0, 0, offset)
        code += struct.pack("=HBBI", _EQUAL, 0, allow, value)
    code += struct.pack("=HBBI", _RETURN, 0, 0, _REFUSE | number)
    code += struct.pack("=HBBI", _RETURN, 0, 0, _ALLOW)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program)) != 0:
        lacking(f"seccomp: {os.strerror(ctypes.get_errno())}")
