# SPDX-License-Identifier: Apache-2.0
"""What text is written on: a terminal has a width and colours, a file has neither."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, BinaryIO

from cni_common.spec.errors import printed
from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CODES = {"bold": 1, "faint": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
_COLOUR = re.compile(r"(\033\[\d{1,2}m)")


class Paper(NamedTuple):
    """Columns, None for as many as there are, and whether there are colours."""

    width: int | None = None
    colours: bool = False

    def tint(self, text: str, colour: str) -> str:
        """Return `text` in a colour, if there are any."""
        if not self.colours or not text:
            return text
        return f"\033[{_CODES[colour]}m{text}\033[0m"

    def shown(self, line: str) -> str:
        """Return a line with what a terminal would act on, but colours, in escapes.

        Names in files of others may be anything.
        """
        if line.isprintable():
            return line
        parts = _COLOUR.split(line) if self.colours else [line]
        return "".join(p if _COLOUR.fullmatch(p) else printed(p) for p in parts)

    def cut(self, line: str) -> str:
        """Return a line without colours that is not wider than the terminal."""
        if self.width is None or len(line) <= self.width:
            return line
        return line[: max(self.width - 1, 0)] + "…"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    pairs = (zip(row, widths, strict=True) for row in rows)
    return ["  ".join(cell.ljust(width) for cell, width in p).rstrip() for p in pairs]


def of(stream: BinaryIO, env: Mapping[str, str]) -> Paper:
    """Return what is written on through `stream`.

    NO_COLOR with any value, and TERM=dumb, mean none (https://no-color.org); COLUMNS
    is the width where it says one.
    """
    if not stream.isatty():
        return Paper()
    told = env.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        width = int(told)
    else:
        width = os.get_terminal_size(stream.fileno()).columns
    plain = bool(env.get("NO_COLOR")) or env.get("TERM") == "dumb"
    return Paper(width or None, not plain)
