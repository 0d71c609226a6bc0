# SPDX-License-Identifier: Apache-2.0
"""What is doubtful in a configuration, and where."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from cni_common.spec.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection

    # Keys and indexes that lead to a value from the top of a file.
    Path = tuple[str | int, ...]

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True)
class Doubt:
    """A sentence about what is at `path`.

    level: ERROR for what a runtime or plugin refuses, WARNING for what it accepts and
    nobody can mean, NOTE for what others do not know. `of_key`: it is about the key,
    not its value.
    """

    level: str
    text: str
    path: Path = ()
    of_key: bool = False


def near(name: str, known: Collection[str]) -> str:
    """Return ", is 'isGateway' meant?", or nothing where none is like `name`."""
    folded = {key.casefold(): key for key in known if key != name}
    found = get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
    return f", is {folded[found[0]]!r} meant?" if found else ""


def dotted(path: Path) -> str:
    """Return a path without the indexes of lists, as an administrator says it."""
    return ".".join(part for part in path if isinstance(part, str))
