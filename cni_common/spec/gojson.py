# SPDX-License-Identifier: Apache-2.0
"""JSON as Go's encoding/json reads it, for that is what runtimes were tested with.

Invalid UTF-8 is replaced, NaN and Infinity are refused, trailing bytes are an
error, and nesting deeper than Go's 10,000 levels is one too.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from cni_common.spec.errors import CNIError, Code


def loads(text: bytes, what: str = "network configuration") -> Any:
    """Return the JSON document in `text`, or raise code 6 naming `what`."""
    try:
        return json.loads(
            text.decode("utf-8", errors="replace"), parse_constant=_refuse_constant
        )
    except ValueError as error:
        raise CNIError(Code.DECODE_FAILURE, f"decode {what}: {error}") from error
    except RecursionError as error:
        msg = f"decode {what}: nested too deeply"
        raise CNIError(Code.DECODE_FAILURE, msg) from error


def load_object(text: bytes, what: str = "network configuration") -> dict[str, Any]:
    """Return the JSON object in `text`, or raise code 6 naming `what`."""
    document = loads(text, what)
    if not isinstance(document, dict):
        raise CNIError(Code.DECODE_FAILURE, f"decode {what}: not a JSON object")
    return document


def member(document: dict[str, Any], key: str) -> Any:
    """Return the value of `key`, matched without regard to case; the last one wins."""
    folded = key.casefold()
    value = None
    for name, candidate in document.items():
        if name.casefold() == folded:
            value = candidate
    return value


def _refuse_constant(name: str) -> NoReturn:
    msg = f"invalid literal {name}"
    raise ValueError(msg)
