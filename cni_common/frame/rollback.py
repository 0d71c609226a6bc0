# SPDX-License-Identifier: Apache-2.0
"""All or nothing for ADD, on past errors for DEL: where exceptions are caught."""

from __future__ import annotations

from cni_common.spec.errors import CNIError, Code, StrandedError, is_shortage, of_os

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self


class Rollback:
    """Undoes in reverse what was registered, if the block ends with an exception.

    The exception that ended the block is the one that leaves it; failures of the
    undoing go into its details. After StrandedError nothing is undone.
    """

    def __init__(self) -> None:
        self._undo: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]]
        self._undo = []
        self._finish: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def __call__(self, undo: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Register `undo(*args)` as what reverts the step just done."""
        self._undo.append((undo, args, kwargs))

    def finish(self, step: Callable[..., object], *args: Any) -> None:
        """Register `step(*args)` for when all is undone; not where that failed."""
        self._finish.append((step, args))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, StrandedError):
            return
        undoing = Gather()
        for undo, args, kwargs in reversed(self._undo):
            undoing.attempt(undo, *args, **kwargs)
        for step, args in self._finish if not undoing.raised else ():
            undoing.attempt(step, *args)
        failures = [str(failure) for failure in undoing.raised]
        failures = _told_once(failures, str(error))
        if not failures:
            return
        if isinstance(error, CNIError):
            undone = [f"undo: {text}" for text in failures]
            error.details = "; ".join(filter(None, [error.details, *undone]))
        else:
            error.add_note("; ".join(f"undo: {text}" for text in failures))


def _told_once(failures: list[str], told: str) -> list[str]:
    """Return what `failures` say beyond what is `told` already, each once.

    One refusal, such as that of a namespace, meets every step in turn.
    """
    return [text for text in dict.fromkeys(failures) if text not in told]


class Gather:
    """Runs steps that must all be tried; the first error is raised at the end.

    The other errors stand in its details. Used by DEL and GC: a step that fails
    must not keep the others from releasing what is theirs.
    """

    def __init__(self) -> None:
        self.raised: list[Exception] = []
        self._failed: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]
        self._failed = []

    def attempt(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run `step` and return its value, or None if it raised."""
        try:
            return step(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - gathered and raised at the end
            self.raised.append(error)
            self._failed.append((step, args, kwargs))
            return None

    def retry(self) -> None:
        """Run what has failed once more; raises what yet another call may mend.

        What is refused again is for the caller to tell.
        """
        failed, self.raised, self._failed = self._failed, [], []
        for step, args, kwargs in failed:
            self.attempt(step, *args, **kwargs)
        for error in self.raised:
            if isinstance(error.__cause__, OSError) and is_shortage(error.__cause__):
                raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None or not self.raised:
            return
        first, *rest = self.raised
        if not isinstance(first, CNIError):
            if not rest:
                raise first
            first = _document(first)
        others = _told_once([str(other) for other in rest], str(first))
        details = "; ".join(filter(None, [first.details, *others]))
        raise CNIError(first.code, first.msg, details) from self.raised[0]


def _document(error: Exception) -> CNIError:
    """Return the error that stands for several, of which none has a code."""
    if isinstance(error, OSError):
        return of_os(f"delete {error.filename}", error)
    return CNIError(Code.INTERNAL, str(error))
