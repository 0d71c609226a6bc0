# SPDX-License-Identifier: Apache-2.0
"""The call's own log: one JSON line per call in `logFile`, nothing by default.

The keys `logFile` and `logLevel` are those that Multus, Calico and Whereabouts
taught the field.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from types import TracebackType

    from cni_common.frame.trace import Trace

LEVELS = ("error", "warning", "info", "debug")
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
    """Collects what happens in one call and tells it when the call ends.

    Nothing touches the disk before the end, so that a call without `logFile` costs
    no system call. `trace` has the spans of a call that is traced.
    """

    trace: Trace | None = None

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

    def within(self, name: str, doing: str) -> Step:
        """Return a block that is the step `name`; `doing` says what becomes of it."""
        return Step(self, name, doing)

    def step(
        self, name: str, doing: str = "", error: BaseException | None = None
    ) -> None:
        """Note that the step `name` ends here; its duration is since the last one."""
        now = time.monotonic()
        if self.trace is not None:
            self.trace.step(f"{doing} {name}".lstrip(), self._last, now, error)
        spent = self._steps.get(name, 0.0) + (now - self._last) * 1000
        self._steps[name] = round(spent, 3)
        self._last = now

    def warnings(self) -> list[str]:
        """Return the warnings so far."""
        return [text for level, text in self._events if level == "warning"]

    def aloud(self) -> list[str]:
        """Return the warnings for stderr."""
        return list(self._aloud)

    def line(self, level: str, call: dict[str, object]) -> dict[str, object]:
        """Return a line's members: what `level` lets through, empty if nothing.

        `call` identifies the call.
        """
        shown = LEVELS[: LEVELS.index(level) + 1]
        events = [{"level": k, "text": t} for k, t in self._events if k in shown]
        if "info" not in shown and not events:
            return {}
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **call,
            "ms": round((time.monotonic() - self._started) * 1000, 3),
        }
        if "info" in shown:
            line["steps"] = self._steps
        if events:
            line["events"] = events
        return line


class Step:
    """A block that is a step of the call, whether it succeeds or not."""

    def __init__(self, log: Log, name: str, doing: str) -> None:
        self._log, self._name, self._doing = log, name, doing

    def __enter__(self) -> None:
        """Begin where the last step ended."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._log.step(self._name, self._doing, error)
