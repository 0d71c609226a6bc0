# SPDX-License-Identifier: Apache-2.0
"""What is left of a call when it is over: it is counted, and a span if it is traced."""

from __future__ import annotations

import time

from cni_common.frame import counters
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from cni_common.frame.trace import Trace
    from cni_common.spec.request import Request

INVALID = "invalid"  # the verb of a call that names none


class Account:
    """The call of this process, from now on.

    release: the suite's; tell: writes a line for the administrator.
    """

    def __init__(
        self,
        plugin: str,
        env: Mapping[str, str],
        release: str,
        tell: Callable[[str], None],
    ) -> None:
        self._plugin, self._verb = plugin, INVALID
        self._release, self._tell = release, tell
        self._began = time.monotonic()
        self._is_open = True
        self._trace = self._traced(env) if env.get("TRACEPARENT") else None

    def _traced(self, env: Mapping[str, str]) -> Trace | None:
        from cni_common.frame import trace  # noqa: PLC0415 - for who is traced

        parent = trace.parent(env)
        if parent is None:
            return None
        try:
            path = trace.place()
        except OSError as error:
            self._tell(f"trace: {error}\n")
            return None
        if not path:
            return None
        made = trace.Trace(path, parent)
        told = {f"cni.{word.lower()}": env.get(f"CNI_{word}", "") for word in _TOLD}
        made.open(self._plugin, trace.SERVER, {"cni.plugin": self._plugin, **told})
        return made

    def is_of(self, verb: str) -> None:
        """Have the call be one of that verb."""
        self._verb = verb

    def is_about(self, request: Request) -> None:
        """Have what the request's log tells be a part of it."""
        if self._trace is not None:
            self._trace.about({"cni.network": request.network})
            request.log.trace = self._trace

    def close(self, error: BaseException | None) -> None:
        """Write down how the call ended, once; nothing is raised."""
        if not self._is_open:
            return
        self._is_open = False
        seconds = time.monotonic() - self._began
        counters.count_call(self._plugin, self._verb, seconds, code_of(error))
        if self._trace is not None:
            self._trace.close(error)
            try:
                self._trace.write(self._release)
            except (OSError, ValueError) as failure:
                cause = getattr(failure, "strerror", None) or str(failure)
                self._tell(f"write trace: {cause.lower()}\n")


class Delegated:
    """A block that is the call of a delegate, in this process or in another one.

    What runs in another one counts itself if it is ours, and else is not counted.
    """

    def __init__(self, plugin: str, request: Request, *, in_process: bool) -> None:
        self._plugin, self._verb = plugin, request.command
        self._trace, self._in_process = request.log.trace, in_process
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.monotonic()
        if self._trace is not None:
            from cni_common.frame import trace  # noqa: PLC0415 - for who is traced

            kind = trace.INTERNAL if self._in_process else trace.CLIENT
            told = {"cni.plugin": self._plugin, "cni.command": self._verb}
            self._trace.open(self._plugin, kind, told)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._in_process:
            seconds = time.monotonic() - self._began
            counters.count_call(self._plugin, self._verb, seconds, code_of(error))
        if self._trace is not None:
            self._trace.close(error)


def code_of(error: BaseException | None) -> int:
    """Return the code by which a call that ended so is told, 0 for success."""
    if error is None:
        return 0
    return error.code if isinstance(error, CNIError) else int(Code.INTERNAL)


_TOLD = ("COMMAND", "CONTAINERID", "IFNAME")
