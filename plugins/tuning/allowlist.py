# SPDX-License-Identifier: Apache-2.0
"""The administrator's list of kernel parameters that a configuration may name.

One regular expression a line, which matches anywhere in the key as it is written
unless anchored. Without the file every key is allowed; with an empty one, none is.
"""

from __future__ import annotations

from cni_common.spec.errors import CNIError, Code, cause_of

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

PATH = "/etc/cni/tuning/allowlist.conf"
# What the reference's language (RE2) has and Python's has not.
_CLASSES = {
    "[:alnum:]": "0-9A-Za-z",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:upper:]": "A-Z",
    "[:word:]": "0-9A-Za-z_",
    "[:xdigit:]": "0-9A-Fa-f",
}


def check(keys: Iterable[str]) -> None:
    """Raise Code.INVALID_CONFIG for the first of `keys` that the list does not allow.

    Code.INTERNAL for a list that cannot be read, or has a line that is no expression.
    """
    lines = _lines()
    if lines is None:
        return
    expressions = [_expression(line) for line in lines]
    for key in keys:
        if not any(expression.search(key) for expression in expressions):
            msg = f"set sysctl {key}: not allowed by {PATH}"
            raise CNIError(Code.INVALID_CONFIG, msg, f"allowed: {' '.join(lines)}")


def _lines() -> list[str] | None:
    try:
        with open(PATH, "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        cause = cause_of(error)
        raise CNIError(Code.INTERNAL, f"read allowlist {PATH}: {cause}") from error
    return [line.strip() for line in text.split("\n") if line.strip()]


def _expression(line: str) -> re.Pattern[str]:
    import re  # noqa: PLC0415 - only where there is a list

    text = line.replace(r"\z", r"\Z")
    for name, characters in _CLASSES.items():
        text = text.replace(name, characters)
    try:
        if "[:" in text or "[[" in text:
            # Python would take it for a set with a bracket in it.
            msg = "unknown character class"
            raise re.error(msg)
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        msg = f"read allowlist {PATH}: {line!r} is no regular expression"
        raise CNIError(Code.INTERNAL, msg, str(error)) from error
