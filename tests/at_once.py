# SPDX-License-Identifier: Apache-2.0
"""Calls of plugins at the same time."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab import Cni


def at_once(
    cni: Cni, calls: Sequence[dict[str, Any]], directory: Path
) -> list[tuple[int, Any]]:
    """Make `calls`, arguments of a call each, in processes of their own.

    Returns exit status and document of each, in their order.
    """
    children = []
    for number, arguments in enumerate(calls):
        child = os.fork()
        if child == 0:
            status = 99
            try:
                answer = cni(**arguments)
                (directory / str(number)).write_text(answer.stdout)
                status = answer.status
            finally:
                os._exit(status)
        children.append(child)
    found = []
    for number, child in enumerate(children):
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        text = (directory / str(number)).read_text()
        found.append((status, json.loads(text) if text else None))
    return found
