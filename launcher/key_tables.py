# SPDX-License-Identifier: Apache-2.0
"""The tables of keys in docs: what a key means is written there, and nowhere else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cni_common.spec.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[1] / "docs"
_HEAD = "| key | type | default |"
# The line above a table of what is inside of another key: "A range:", "`dns`:".
_LABEL = re.compile(r"(?:An? )?`?([\w ]+?)`?:")
_CELL = re.compile(r"(?<!\\)\|")
_WORD = re.compile(r"`([^`]*)`")
_OURS = "Not of the reference"
_ENVIRONMENT = " in `CNI_ARGS`"
_ON_THE_PAGE = re.compile(
    r"[,;]? ?(?:see )?\(?\[(?:below|table)\]\([^)]*\)\)?|[,;] see below"
)
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


class WrittenError(Exception):
    """A table of keys cannot be read, or does not say what models do."""


@dataclass(frozen=True)
class Row:
    """A key as its page has it: the cells of its row."""

    key: str
    type: str
    default: str
    text: str

    @property
    def required(self) -> bool:
        """Whether the key must be there."""
        return self.default == "required"

    @property
    def is_ours(self) -> bool:
        """Whether the reference has no such key."""
        return self.text.endswith(_OURS)

    def words(self) -> set[str]:
        """Return the words that the key may be, if the type is nothing else."""
        found = {word.strip('"') for word in _WORD.findall(self.type)}
        return found if self.type.startswith("`") else set()

    def value(self) -> Any:
        """Return the default as a value of JSON, or None for what is none."""
        text = self.default
        if text in {"", "none", "required"}:
            return None
        inner = _WORD.fullmatch(text)
        try:
            return json.loads(inner[1] if inner else text)
        except ValueError:
            return inner[1] if inner else None

    def description(self) -> str:
        """Return the meaning as text that stands alone, with the default if it is no
        value.
        """
        text = _LINK.sub(r"\1", _ON_THE_PAGE.sub("", self.text))
        if self.value() is None and self.default not in {"", "none", "required"}:
            default = _LINK.sub(r"\1", _ON_THE_PAGE.sub("", self.default))
            text = f"{text}. Default: {default}"
        return text


Table = dict[str, Row]


@dataclass(frozen=True)
class Page:
    """A page: its first sentence, and its tables of keys by what is above each.

    The one of the keys themselves has "" there. A key of CNI_ARGS is called
    `CNI_ARGS.IP`.
    """

    path: Path
    summary: str
    tables: dict[str, Table]


def page(path: Path) -> Page:
    """Return the page at `path`; raises WrittenError for a table that is none."""
    lines = path.read_text(encoding="utf-8").splitlines()
    tables: dict[str, Table] = {}
    label = ""
    for number, line in enumerate(lines):
        if line.startswith(_HEAD):
            rows = tables.setdefault(label, {})
            for row in _rows(path, lines[number + 2 :]):
                if rows.setdefault(row.key, row) is not row:
                    msg = f"{path}: {row.key} has two rows"
                    raise WrittenError(msg)
        elif line.strip():
            found = _LABEL.fullmatch(line)
            label = found[1].lower() if found else ""
    return Page(path, _summary(lines), tables)


def _summary(lines: list[str]) -> str:
    text = " ".join(lines[2:]).partition("  ")[0]
    return _LINK.sub(r"\1", text).partition(". ")[0].rstrip(".")


def _rows(path: Path, lines: list[str]) -> Iterator[Row]:
    for line in lines:
        if not line.startswith("|"):
            return
        cells = [cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1]]
        if len(cells) != 4:  # noqa: PLR2004 - key, type, default, meaning
            msg = f"{path}: no row of four cells: {line}"
            raise WrittenError(msg)
        named, kind, default, text = cells
        keys = _WORD.findall(named.removesuffix(_ENVIRONMENT))
        if named.endswith(_ENVIRONMENT):
            keys = [f"CNI_ARGS.{key}" for key in keys]
        defaults = default.split(", ") if default.count(", ") == len(keys) - 1 else []
        for key, own in zip(keys, defaults or [default] * len(keys), strict=True):
            yield Row(key, kind, own, text)
