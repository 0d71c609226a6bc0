# SPDX-License-Identifier: Apache-2.0
"""JSON as Go's encoding/json reads it, for that is what runtimes were tested with.

Invalid UTF-8 and lone surrogates are replaced, NaN and numbers beyond all bounds are
refused, and so are trailing bytes and nesting that no configuration has.
"""

from __future__ import annotations

from cni_common.spec import json_text
from cni_common.spec.characters import Pattern
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    import re
    from typing import Any, NoReturn

_ESCAPE = Pattern(
    r"(?s)\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)


def loads(text: bytes, what: str = "network configuration") -> Any:
    """Return the document in `text`, or raise Code.DECODE_FAILURE naming `what`."""
    decoded = text.decode("utf-8", errors="replace")
    if "\\ud" in decoded or "\\uD" in decoded:
        decoded = _ESCAPE.sub(_paired, decoded)
    try:
        return json_text.loads(decoded, constant=_refuse, real=_finite)
    except ValueError as error:
        cause = str(error)
        if "int_max_str_digits" in cause:
            cause = "invalid number of thousands of digits"  # not Python's advice
        raise CNIError(Code.DECODE_FAILURE, f"decode {what}: {cause}") from error
    except RecursionError as error:
        msg = f"decode {what}: nested too deeply"
        raise CNIError(Code.DECODE_FAILURE, msg) from error


def load_object(text: bytes, what: str = "network configuration") -> dict[str, Any]:
    """Return the JSON object in `text`, or raise Code.DECODE_FAILURE naming `what`."""
    document = loads(text, what)
    if not isinstance(document, dict):
        raise CNIError(Code.DECODE_FAILURE, f"decode {what}: not a JSON object")
    return document


def spelling(document: dict[str, Any], key: str) -> str | None:
    """Return the name in `document` that stands for `key`, or None.

    It is matched without regard to case. Of several the exact one counts, else the
    last; one whose value is null only if there is no other.
    """
    if document.get(key) is not None:
        return key
    folded = key.casefold()
    found = None
    for name, value in document.items():
        if name.casefold() != folded:
            continue
        if value is not None or found is None or document[found] is None:
            found = name
    return found


def member(document: dict[str, Any], key: str) -> Any:
    """Return the value of `key` as `spelling` finds it; None for null and nothing."""
    name = spelling(document, key)
    return None if name is None else document[name]


def string(document: dict[str, Any], key: str) -> str:
    """Return the text of `key`, empty when absent.

    Raises Code.DECODE_FAILURE for another type.
    """
    value = member(document, key)
    if value is None:
        return ""
    if not isinstance(value, str):
        msg = f"decode {key}: {value!r:.80} is not a string"
        raise CNIError(Code.DECODE_FAILURE, msg)
    return value


def _paired(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape["lone"] else escape[0]


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        _refuse(text)
    return number


def _refuse(text: str) -> NoReturn:
    msg = f"invalid number {text:.80}"
    raise ValueError(msg)
