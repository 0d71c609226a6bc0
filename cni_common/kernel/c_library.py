# SPDX-License-Identifier: Apache-2.0
"""Functions of C libraries: what is used of ctypes, made of what that is made of.

It has the names of ctypes, so that it can stand in for it (docs/decisions/0046). Most
of what an import of that costs is types and tables that nobody here uses.
"""

from __future__ import annotations

from _ctypes import (
    FUNCFLAG_CDECL,
    FUNCFLAG_USE_ERRNO,
    CFuncPtr,
    _SimpleCData,
    dlopen,
    get_errno,
)

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _number_or_pointer(letter: str) -> Any:
    """Return the type of C that has this letter in the module struct; z is a text."""
    return type(f"C_{letter}", (_SimpleCData,), {"_type_": letter})


c_int, c_uint, c_void_p, c_char_p = map(_number_or_pointer, "iIPz")


class CDLL:
    """The library `name`, None for what the process has; its functions by their names.

    They return an int, unless their `restype` says otherwise. Raises OSError where
    there is no such library; a function that it lacks is an AttributeError.
    """

    def __init__(self, name: str | None) -> None:
        self._handle = dlopen(name, 0)  # type: ignore[arg-type]  # None is not known
        flags = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
        made = {"_flags_": flags, "_restype_": c_int}
        self._function: Any = type("Function", (CFuncPtr,), made)

    def __getattr__(self, name: str) -> Any:
        found = self._function((name, self))
        setattr(self, name, found)
        return found


def at_exit(act: Callable[[], object]) -> None:
    """Have `act` called where a library ends this process by exit(3), once.

    For a process that itself ends by _exit(2) alone: after the interpreter's orderly
    end nothing of Python can be called.
    """
    if act in _called_at_exit:
        return
    made = {"_flags_": FUNCFLAG_CDECL, "_restype_": None, "_argtypes_": (c_void_p,)}
    callback = type("Callback", (CFuncPtr,), made)(lambda _: act())
    _called_at_exit[act] = callback
    # atexit(3) itself is no symbol of glibc's.
    CDLL(None).__cxa_atexit(callback, None, None)  # noqa: SLF001 - a name of C


_called_at_exit: dict[Callable[[], object], Any] = {}


class cdll:  # noqa: N801 - its name in ctypes
    """How the binding of libnftables opens a library."""

    LoadLibrary = CDLL


__all__ = [
    "CDLL",
    "at_exit",
    "c_char_p",
    "c_int",
    "c_uint",
    "c_void_p",
    "cdll",
    "get_errno",
]
