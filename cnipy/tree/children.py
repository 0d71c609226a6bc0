# SPDX-License-Identifier: Apache-2.0
"""Children that do a part of what is too much for one CPU, and tell it in JSON."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnipy.recorded import Recorded

    Work = Callable[[Sequence[Recorded]], list[Any]]

_MANY = 64  # below that a child costs more than it saves
_MOST = 7
# The parent has other things to do besides.
_OWN_SHARE = 0.9


class Children:
    """They do `work` for the items from `first` on, which returns a value for each."""

    def __init__(self, items: Sequence[Recorded], work: Work) -> None:
        self._items, self._work = items, work
        self._children: list[tuple[int, int, range]] = []
        number = min(len(os.sched_getaffinity(0)) - 1, _MOST)
        if len(items) < _MANY or number < 1:
            self.first = len(items)
            return
        self.first = int(len(items) * _OWN_SHARE / (number + _OWN_SHARE))
        for index in range(number):
            share = range(self.first + index, len(items), number)
            with suppress(OSError):  # then its parent does those as well
                self._children.append((*self._start(share), share))

    def told(self) -> dict[int, Any]:
        """Return the values by the number of the item; a child that died told none."""
        found: dict[int, Any] = {}
        for pid, reader, share in self._children:
            with open(reader, "rb") as pipe:
                text = pipe.read()
            _, status = os.waitpid(pid, 0)
            if status == 0:
                found.update(zip(share, json.loads(text), strict=True))
        self._children.clear()
        return found

    def _start(self, share: range) -> tuple[int, int]:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            return pid, reader
        status = 1
        try:
            with open(writer, "w", encoding="utf-8") as pipe:
                pipe.write(json.dumps(self._work([self._items[n] for n in share])))
            status = 0
        finally:
            os._exit(status)
