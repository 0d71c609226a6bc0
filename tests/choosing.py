# SPDX-License-Identifier: Apache-2.0
"""Which of the calls of a process fails, and how."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from zlib import crc32

import supervised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from system_calls import Call

    Errors = Callable[[Call], Sequence[int | str]]

WHOLE = os.environ.get("CNI_TESTS_WALK") == "whole"
# One of so many calls is tried, where not the whole is walked.
STRIDE = int(os.environ.get("CNI_TESTS_STRIDE", "30"))
# Identities that are made up, addresses, and processes.
_VARYING = re.compile(r"[0-9a-f.:]{7,}|(?<=/)\d+(?=/|$)|(?<=#)\d+")


class Chosen:
    """Chooses the first call of which the like has not failed yet.

    Which ones are alike, and which are passed over, does not depend on numbers, so that
    all runs of one program try the same.
    """

    def __init__(self, walk: str, errors: Errors, tried: set[str]) -> None:
        self.walk, self.errors, self.tried = walk, errors, tried
        self.where, self.last = "", ""

    def __call__(self, number: int, call: Call) -> supervised.Verdict:
        alike = _VARYING.sub("*", str(call))
        place, self.last = f"{alike} after {self.last or 'nothing'}", alike
        if self.where:
            return self._onwards(call)
        for name, verdict in self._possible(number, place, self.errors(call)):
            if name not in self.tried:
                self.tried.add(name)
                what = os.strerror(verdict) if isinstance(verdict, int) else verdict
                self.where = f"{what} at {number}, {place}"
                return verdict
        return None

    def _onwards(self, call: Call) -> supervised.Verdict:
        """Decide about a call that comes after the one that fails."""
        errors = self.errors(call) if self.errors is refuse_onwards else ()
        return errors[0] if errors else None

    def _possible(
        self, number: int, place: str, errors: Sequence[int | str]
    ) -> list[tuple[str, int | str]]:
        if WHOLE:
            return [(f"{number} {place} {error}", error) for error in errors]
        if not errors:
            return []
        # To be killed happens to plugins most, and few calls change something.
        stride = STRIDE // 2 or 1 if errors[0] == supervised.KILL else STRIDE
        chance = crc32(f"{self.walk} {place}".encode())
        return (
            [] if chance % stride else [(place, errors[chance // stride % len(errors)])]
        )

    def __str__(self) -> str:
        return self.where


def refuse(call: Call) -> Sequence[int | str]:
    """Return the errors with which a call may fail."""
    return call.errors


def refuse_onwards(call: Call) -> Sequence[int | str]:
    """Return the errors of a kernel that takes no message or parameter any more.

    Whatever undoes fails too. Files are written, so that what stays is on record.
    """
    is_parameter = call.name == "write" and call.what.startswith("/proc/sys/")
    return call.errors if call.refuse or is_parameter else ()


def kill(call: Call) -> Sequence[int | str]:
    """Have the process killed before a call that changes something."""
    return (supervised.KILL,) if call.changes else ()
