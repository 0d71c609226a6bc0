# SPDX-License-Identifier: Apache-2.0
"""Single values: from a node of a schema to what takes such a value, or raises Faults.

Strict throughout: nothing is converted, but a subclass's value becomes the plain one.
"""

from __future__ import annotations

from cni_common.compiled.faults import fault
from cni_common.compiled.paths import resolved

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cni_common.compiled.faults import Faults

    Node = dict[str, Any]
    # Takes a value and the context of the validation.
    Check = Callable[[Any, Any], Any]


def anything(_: Node) -> Check:
    """Take every value."""
    return lambda value, _context: value


def text(_: Node) -> Check:
    """Take text."""

    def check(value: Any, _context: Any) -> str:
        if type(value) is str:
            return value
        if not isinstance(value, str):
            raise fault("string_type", "Input should be a valid string", value)
        if not _is_unicode(value):
            raise _not_unicode(value)
        return str.__str__(value)

    return check


def truth(_: Node) -> Check:
    """Take true and false."""

    def check(value: Any, _context: Any) -> bool:
        if value is True or value is False:
            return value
        raise fault("bool_type", "Input should be a valid boolean", value)

    return check


_BOUNDS = {
    "le": ("less_than_equal", "less than or equal to", int.__le__),
    "lt": ("less_than", "less than", int.__lt__),
    "ge": ("greater_than_equal", "greater than or equal to", int.__ge__),
    "gt": ("greater_than", "greater than", int.__gt__),
}


def number(node: Node) -> Check:
    """Take a whole number within the bounds of the node."""
    bounds = [(key, node[key], *_BOUNDS[key]) for key in _BOUNDS if key in node]

    def check(value: Any, _context: Any) -> int:
        if not isinstance(value, int) or value is True or value is False:
            raise fault("int_type", "Input should be a valid integer", value)
        for key, bound, kind, words, holds in bounds:
            if not holds(value, bound):
                message = f"Input should be {words} {bound}"
                raise fault(kind, message, value, **{key: bound})
        return int(value)

    return check


def word(node: Node) -> Check:
    """Take one of the words of the node."""
    words: dict[str, str] = {each: each for each in node["expected"]}
    *most, last = map(repr, words)
    expected = f"{', '.join(most)} or {last}" if most else last

    def check(value: Any, _context: Any) -> str:
        if isinstance(value, str):
            found = words.get(str.__str__(value))
            if found is not None:
                return found
            if type(value) is str and not _is_unicode(value):
                raise _not_unicode(value)
        message = f"Input should be {expected}"
        raise fault("literal_error", message, value, expected=expected)

    return check


def member(node: Node) -> Check:
    """Take a member of an enumeration; what only equals one is none."""
    cls = resolved(node["cls"])

    def check(value: Any, _context: Any) -> Any:
        if isinstance(value, cls):
            return value
        name = cls.__name__
        message = f"Input should be an instance of {name}"
        raise fault("is_instance_of", message, value, **{"class": name})

    return check


def _is_unicode(text: str) -> bool:
    """Tell whether there is no lone surrogate in `text`."""
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)


def _not_unicode(value: str) -> Faults:
    cause = "unable to parse raw data as a unicode string"
    return fault("string_unicode", f"Input should be a valid string, {cause}", value)
