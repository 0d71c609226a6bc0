# SPDX-License-Identifier: Apache-2.0
"""JSON by the compiled half of `json`, whose other half imports `re`.

What comes out is what `json` gives; what is no JSON is shown to `json` itself, for its
words.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_SPACE = " \t\n\r"


class _Reading:
    """What the scanner looks up."""

    strict = True
    object_hook = None

    def __init__(
        self,
        pairs: Callable[[list[tuple[str, Any]]], Any] | None,
        real: Callable[[str], Any],
        constant: Callable[[str], Any],
    ) -> None:
        self.object_pairs_hook = pairs
        self.parse_float = real
        self.parse_int = int
        self.parse_constant = constant


_CONSTANTS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}


def _constant(name: str) -> float:
    return float(_CONSTANTS[name])


def loads(
    text: str | bytes,
    *,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
    real: Callable[[str], Any] = float,
    constant: Callable[[str], Any] = _constant,
) -> Any:
    """Return the document in `text`, bytes of which are UTF-8.

    Objects are made by `pairs` if it is given, numbers with a fraction by `real`, NaN
    and infinities by `constant`. Raises ValueError, or RecursionError.
    """
    if isinstance(text, bytes):
        text = text.decode()
    start = len(text) - len(text.lstrip(_SPACE))
    reading: Any = _Reading(pairs, real, constant)
    try:
        value, end = make_scanner(reading)(text, start)
        if not text[end:].strip(_SPACE):
            return value
    except (StopIteration, SystemError):
        # The second in Python 3.11, where the scanner takes its error from `json`.
        pass
    import json  # noqa: PLC0415 - for its error

    return json.loads(
        text, object_pairs_hook=pairs, parse_float=real, parse_constant=constant
    )


def dumps(document: Any) -> str:
    """Return `document` in one line; raises TypeError or ValueError for another."""
    settings = (None, ": ", ", ", False, False, True)
    encoder = make_encoder({}, _refused, encode_basestring_ascii, *settings)
    return "".join(encoder(document, 0))


def dumps_indented(document: Any, width: int = 4) -> str:
    """Return `document` with each member in a line of its own."""
    return "".join(_lines(document, "\n", " " * width))


def _lines(value: Any, before: str, step: str) -> Iterator[str]:
    """Yield the parts of `value`; `before` is the break before its own line."""
    if not value or not isinstance(value, dict | list | tuple):
        yield dumps(value)
        return
    keyed = isinstance(value, dict)
    deeper = before + step
    separator = "{" if keyed else "["
    for each in value:
        yield separator + deeper
        separator = ","
        if keyed:
            yield dumps({each: 0})[1:-2]
        yield from _lines(value[each] if keyed else each, deeper, step)
    yield before + ("}" if keyed else "]")


def _refused(value: Any) -> Any:
    msg = f"Object of type {type(value).__name__} is not JSON serializable"
    raise TypeError(msg)
