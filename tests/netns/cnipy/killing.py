# SPDX-License-Identifier: Apache-2.0
"""A verb that is killed before each call in turn by which it changes anything."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import supervised
from choosing import STRIDE, WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from system_calls import Call

_COUNTERS = "/run/cnipy/counters"


def killings(act: Callable[[], object], *, every: int = 1) -> Iterator[str]:
    """Yield before which call `act` was killed, each time another one, till none is.

    Of many calls one in `every` is tried, unless all are asked for. What comes between
    must have all as it was before the first.
    """
    number = 1 - (step := 1 if WHOLE or STRIDE == 1 else every)
    while True:
        number += step
        found: list[str] = []
        ended = supervised.run(partial(_done, act), partial(_decide, number, found))
        if not ended.is_killed:
            assert ended.status == 0, ended
            return
        assert ended.status == -signal.SIGKILL, ended
        yield f"{number}: {found[-1]}"


def _done(act: Callable[[], object]) -> bytes:
    act()
    return b""


def _decide(at: int, found: list[str], _: int, call: Call) -> supervised.Verdict:
    """Have the process killed before the `at`-th call that changes anything.

    By the time that a verb is counted all is done, and what is done may be refused.
    """
    changes = call.changes and _COUNTERS not in str(call)
    if changes:
        found.append(str(call))
    return supervised.KILL if changes and len(found) == at else None
