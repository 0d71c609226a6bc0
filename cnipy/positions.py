# SPDX-License-Identifier: Apache-2.0
"""Where in a JSON text its keys and values are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cni_common.spec.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    Path = tuple[str | int, ...]

_SPACE = " \t\n\r"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Place:
    """Offsets of a key, or of an item of a list, and of its value."""

    key: int
    value: int


class Positions:
    """Where all of a document is.

    `again` are the paths of keys that come twice, in whichever case. Of a text that is
    no JSON, all is where it ends to be some.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._places: dict[Path, Place] = {}
        self.again: list[Path] = []
        seen: set[Path] = set()
        self._top = len(text) - len(text.lstrip(_SPACE))
        try:
            json.loads(text)
            for path, place in _members(text, _space(text, 0), ()):
                folded = (*path[:-1], str(path[-1]).casefold())
                if isinstance(path[-1], str) and folded in seen:
                    self.again.append(path)
                seen.add(folded)
                self._places[path] = place
        except json.JSONDecodeError as error:
            self._top = error.pos
        except RecursionError:
            self._places.clear()

    def line_and_column(self, path: Path, *, of_key: bool) -> tuple[int, int]:
        """Return where a value is, or its key, both counted from 1.

        Keys match in any case. Of a path that the text has not, as far as it has it.
        """
        place = self._found(path)
        offset = place.key if of_key else place.value
        before = self._text[:offset]
        return before.count("\n") + 1, offset - before.rfind("\n")

    def _found(self, path: Path) -> Place:
        spelt: Path = ()
        for part in path:
            deeper = self._spelt(spelt, part)
            if deeper is None:
                break
            spelt = deeper
        return self._places.get(spelt, Place(self._top, self._top))

    def _spelt(self, path: Path, part: str | int) -> Path | None:
        if (*path, part) in self._places or isinstance(part, int):
            return (*path, part) if (*path, part) in self._places else None
        for known in self._places:
            last = known[-1]
            same = isinstance(last, str) and last.casefold() == part.casefold()
            if same and known[:-1] == path:
                return known
        return None


def _members(text: str, at: int, path: Path) -> Iterator[tuple[Path, Place]]:
    """Yield the members of the value at an offset, at any depth."""
    if text[at] not in "{[":
        return
    for key, name, value in _items(text, at):
        yield (*path, name), Place(key, value)
        yield from _members(text, value, (*path, name))


def _items(text: str, at: int) -> Iterator[tuple[int, str | int, int]]:
    """Yield offset and name of each key of an object or item of a list, and the offset
    of its value.
    """
    keyed, number = text[at] == "{", 0
    at = _space(text, at + 1)
    while text[at] not in "}]":
        key = value = at
        name: str | int = number
        if keyed:
            name, at = _DECODER.raw_decode(text, at)
            value = _space(text, _space(text, at) + 1)
        yield key, name, value
        _, end = _DECODER.raw_decode(text, value)
        at = _space(text, end)
        if text[at] == ",":
            at = _space(text, at + 1)
        number += 1


def _space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
