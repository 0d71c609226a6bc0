# SPDX-License-Identifier: Apache-2.0
"""The call's own log: one JSON line per call in `logFile`, nothing by default.

The keys `logFile` and `logLevel` are those that Multus, Calico and Whereabouts
taught the field.
"""

from __future__ import annotations

import json
import os
import stat
import time

LEVELS = ("error", "warning", "info", "debug")
# Appending is atomic, so that lines of calls at the same time do not mix. Opening a
# pipe that nobody reads must not wait.
_FLAGS = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_APPEND
    | os.O_NOFOLLOW
    | os.O_NONBLOCK
    | os.O_NOCTTY
    | os.O_CLOEXEC
)


# What was found in passing, where no call's log is at hand.
_remarks: dict[str, None] = {}


def remark(text: str) -> None:
    """Note what the administrator must know, for the end of the call, once."""
    _remarks[text] = None


def remarks() -> list[str]:
    """Return what was remarked, and forget it."""
    found = list(_remarks)
    _remarks.clear()
    return found


class Log:
    """Collects what happens in one call and writes it when the call ends.

    Nothing touches the disk before `write`, so that a call without `logFile` costs
    no system call.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last = self._started
        self._events: list[tuple[str, str]] = []
        self._steps: dict[str, float] = {}
        self._aloud: list[str] = []

    def error(self, text: str) -> None:
        """Note a failure."""
        self._events.append(("error", text))

    def warning(self, text: str) -> None:
        """Note what the administrator should know, though the call goes on."""
        self._events.append(("warning", text))

    def warning_aloud(self, text: str) -> None:
        """Note what the administrator should know at once: it is for stderr as well."""
        self.warning(text)
        self._aloud.append(text)

    def info(self, text: str) -> None:
        """Note what was chosen where the configuration leaves a choice."""
        self._events.append(("info", text))

    def debug(self, text: str) -> None:
        """Note what helps to understand the call."""
        self._events.append(("debug", text))

    def step(self, name: str) -> None:
        """Note that the step `name` ends here; its duration is since the last one."""
        now = time.monotonic()
        spent = self._steps.get(name, 0.0) + (now - self._last) * 1000
        self._steps[name] = round(spent, 3)
        self._last = now

    def warnings(self) -> list[str]:
        """Return the warnings so far."""
        return [text for level, text in self._events if level == "warning"]

    def aloud(self) -> list[str]:
        """Return the warnings for stderr."""
        return list(self._aloud)

    def write(self, path: str, level: str, call: dict[str, object]) -> None:
        """Append one JSON line to `path` with what `level` lets through.

        `call` identifies the call. The file is created with mode 0600; a symbolic
        link is not followed, and what is no regular file is not written to. Raises
        OSError, and ValueError for what is no absolute path.
        """
        if not path.startswith("/"):
            msg = "not an absolute path"
            raise ValueError(msg)
        shown = LEVELS[: LEVELS.index(level) + 1]
        events = [{"level": k, "text": t} for k, t in self._events if k in shown]
        if "info" not in shown and not events:
            return
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **call,
            "ms": round((time.monotonic() - self._started) * 1000, 3),
        }
        if "info" in shown:
            line["steps"] = self._steps
        if events:
            line["events"] = events
        fd = os.open(path, _FLAGS, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                msg = "not a regular file"
                raise ValueError(msg)
            os.write(fd, (json.dumps(line) + "\n").encode())
        finally:
            os.close(fd)
