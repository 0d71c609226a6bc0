# SPDX-License-Identifier: Apache-2.0
"""A system call that may take long, made by a thread, so that others need not wait."""

from __future__ import annotations

import _thread  # the module `threading` costs more than what is done here
import os

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


class Errand:
    """`act` in a thread of its own, readable for select(2) when that has ended.

    Leaving the block waits for nothing: the thread lives until `act` is done.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self._failure: OSError | None = None
        self._ended, end = os.pipe()
        self._under_way = _thread.allocate_lock()
        self._under_way.acquire()
        try:
            _thread.start_new_thread(self._run, (act, end))
        except RuntimeError:  # a limit of processes: then the caller waits
            self._run(act, end)

    def _run(self, act: Callable[[], None], end: int) -> None:
        try:
            act()
        except OSError as error:
            self._failure = error
        finally:
            os.close(end)
            self._under_way.release()

    def check(self) -> None:
        """Raise what `act` has raised, if it has failed already."""
        if self._failure is not None:
            raise self._failure

    def is_under_way(self) -> bool:
        """Tell whether `act` has not ended."""
        return self._under_way.locked()

    def join(self) -> None:
        """Return when `act` has ended."""
        with self._under_way:
            return

    def fileno(self) -> int:
        """Return the descriptor, for select(2)."""
        return self._ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        os.close(self._ended)
