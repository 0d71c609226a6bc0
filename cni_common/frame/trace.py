# SPDX-License-Identifier: Apache-2.0
"""Spans of a call that somebody traces: OpenTelemetry's, as lines of OTLP's JSON.

Who calls says by TRACEPARENT and TRACESTATE (W3C Trace Context) in which trace that is.
Where the spans go an administrator says, never the environment (docs/metrics.md).
"""

from __future__ import annotations

import os
import stat
import time

from cni_common.spec.errors import CNIError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Span = dict[str, Any]

# A file of one line: the absolute path of the file that spans are appended to.
PLACE = "/etc/cnipy/traces"
PARENT, STATE = "TRACEPARENT", "TRACESTATE"
# Of a span, by OTLP's numbers.
INTERNAL, SERVER, CLIENT = 1, 2, 3
_FAILED = {"code": 2}
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PATH_MAX = 4096
_STATE_MAX = 512  # characters, as many as W3C has everybody pass on
_SAMPLED = 1
_HEX = frozenset("0123456789abcdef")
_VERSION, _TRACE, _SPAN, _FLAGS = 2, 32, 16, 2  # digits


class Parent:
    """The span by which a call is told that it is traced."""

    def __init__(self, trace: str, span: str, flags: str, state: str) -> None:
        self.trace, self.span, self.flags, self.state = trace, span, flags, state


def parent(env: Mapping[str, str]) -> Parent | None:
    """Return who traces this call; None for nobody, for a text that is none by W3C, and
    for one who wants no spans of this trace.
    """
    parts = env.get(PARENT, "").split("-")
    version, trace, span, flags, *more = [*parts, "", "", ""]
    sizes = (_VERSION, _TRACE, _SPAN, _FLAGS)
    fields = (version, trace, span, flags)
    if any(
        len(each) != size or not _HEX.issuperset(each)
        for each, size in zip(fields, sizes, strict=True)
    ):
        return None
    is_later = version not in {"00", "ff"}  # which may have more behind
    if version == "ff" or (any(more) and not is_later):
        return None
    if not trace.strip("0") or not span.strip("0") or not int(flags, 16) & _SAMPLED:
        return None
    state = env.get(STATE, "")
    fit = len(state) <= _STATE_MAX and state.isascii() and state.isprintable()
    return Parent(trace, span, flags, state if fit else "")


def place() -> str:
    """Return the file that spans are appended to, or nothing where nobody names one.

    Raises PermissionError for a file that others than root could have written, and
    OSError for what cannot be read.
    """
    try:
        fd = os.open(PLACE, _READ)
    except FileNotFoundError:
        return ""
    try:
        found = os.fstat(fd)
        others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISREG(found.st_mode) or others or found.st_uid != 0:
            raise PermissionError(f"{PLACE} is not a file that only root writes")
        return os.read(fd, _PATH_MAX).decode("utf-8", "surrogateescape").strip()
    finally:
        os.close(fd)


class Trace:
    """The spans of one process, whose parent is another process's."""

    def __init__(self, path: str, parent: Parent) -> None:
        self._path, self._parent = path, parent
        self._epoch = time.time_ns() - time.monotonic_ns()
        self._open: list[Span] = []
        self._begun: list[float] = []
        self._ended: list[Span] = []

    def variables(self) -> dict[str, str]:
        """Return what a process is given that the present span calls."""
        span = self._open[-1]["spanId"]
        return {PARENT: f"00-{self._parent.trace}-{span}-{self._parent.flags}"}

    def open(self, name: str, kind: int, attributes: Mapping[str, str]) -> None:
        """Begin a span within the present one."""
        self._begun.append(time.monotonic())
        self._open.append(self._span(name, kind, self._begun[-1]))
        self.about(attributes)

    def about(self, attributes: Mapping[str, str | int]) -> None:
        """Tell more of the present span, of what is not empty."""
        told = self._open[-1]["attributes"]
        told += [_attribute(k, v) for k, v in attributes.items() if v != ""]

    def close(self, error: BaseException | None) -> None:
        """End the present span, with the error that ended it."""
        if isinstance(error, CNIError):
            self.about({"cni.error_code": error.code})
        self._begun.pop()
        self._end(self._open.pop(), time.monotonic(), error)

    def step(
        self, name: str, began: float, ended: float, error: BaseException | None
    ) -> None:
        """Have a step of the present span, between two times of time.monotonic()."""
        if self._open:
            inside = max(began, self._begun[-1])  # the step before was its caller's
            self._end(self._span(name, INTERNAL, inside), ended, error)

    def write(self, release: str) -> None:
        """Append what has ended as one line; raises OSError and ValueError."""
        from cni_common.frame import log_file  # noqa: PLC0415 - for who is traced

        resource = {
            "service.name": "cnipy",
            "service.version": release,
            "host.name": os.uname().nodename,
        }
        attributes = [_attribute(k, v) for k, v in resource.items() if v]
        scope = {"scope": {"name": "cnipy"}, "spans": self._ended}
        line = {"resource": {"attributes": attributes}, "scopeSpans": [scope]}
        log_file.append(self._path, {"resourceSpans": [line]})

    def _span(self, name: str, kind: int, began: float) -> Span:
        above = self._open[-1]["spanId"] if self._open else self._parent.span
        span: Span = {"traceId": self._parent.trace, "spanId": os.urandom(8).hex()}
        if self._parent.state:
            span["traceState"] = self._parent.state
        return span | {
            "parentSpanId": above,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": self._instant(began),
            "endTimeUnixNano": "",
            "attributes": [],
            "status": {},
        }

    def _end(self, span: Span, ended: float, error: BaseException | None) -> None:
        span["endTimeUnixNano"] = self._instant(ended)
        if error is not None:
            text = str(error) or type(error).__name__
            span["status"] = {**_FAILED, "message": text}
        self._ended.append(span)

    def _instant(self, seconds: float) -> str:
        """Return nanoseconds since 1970, which OTLP has in a string."""
        return str(self._epoch + int(seconds * 1e9))


def _attribute(key: str, value: str | int) -> dict[str, Any]:
    kind = "intValue" if isinstance(value, int) else "stringValue"
    text = str(value).encode("utf-8", "replace").decode()
    return {"key": key, "value": {kind: text}}
