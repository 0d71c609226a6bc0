# SPDX-License-Identifier: Apache-2.0
"""From a node of a written schema to a closure that takes what the node allows.

The kinds of node are pydantic's (pydantic_core.core_schema), except that a model within
a model is named, not repeated: kind `model-of`. A closure takes a value and the
context of the validation, and returns the value that the model gets or raises Faults.
"""

from __future__ import annotations

from cni_common.compiled import scalars
from cni_common.compiled.faults import Faults, ValidationError, fault
from cni_common.compiled.paths import resolved

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cni_common.compiled.faults import Fault
    from cni_common.compiled.scalars import Check, Node

_ABSENT = object()


class ValidationInfo:
    """What a validator learns besides the value."""

    __slots__ = ("context",)

    def __init__(self, context: Any) -> None:
        self.context = context


def built(node: Node) -> Check:
    """Return the closure of a node, those below included."""
    return KINDS[node["type"]](node)


def _nullable(node: Node) -> Check:
    inner = built(node["schema"])
    return lambda value, context: None if value is None else inner(value, context)


def _default(node: Node) -> Check:
    """A value that is there is validated; `_fields` cares for one that is not."""
    return built(node["schema"])


def _list(node: Node) -> Check:
    inner = built(node["items_schema"])

    def check(value: Any, context: Any) -> list[Any]:
        if not isinstance(value, list):
            raise fault("list_type", "Input should be a valid list", value)
        made: list[Any] = []
        found: list[Fault] = []
        for index, item in enumerate(value):
            try:
                made.append(inner(item, context))
            except Faults as faults:
                found += faults.below(index)
        if found:
            raise Faults(found)
        return made

    return check


def _dict(node: Node) -> Check:
    key_check, value_check = built(node["keys_schema"]), built(node["values_schema"])

    def check(value: Any, context: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise fault("dict_type", "Input should be a valid dictionary", value)
        made: dict[Any, Any] = {}
        found: list[Fault] = []
        for key, item in value.items():
            taken: Any = _ABSENT
            try:
                taken = key_check(key, context)
            except Faults as faults:
                found += faults.below(_place(key), "[key]")
            try:
                made[taken] = value_check(item, context)
            except Faults as faults:
                found += faults.below(_place(key))
        if found:
            raise Faults(found)
        return made

    return check


def _place(key: Any) -> int | str:
    """Return a key as part of a location, which is Unicode."""
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return key if isinstance(key, int) else repr(key)


def _call(node: Node) -> Callable[[Any, Any, Any], Any]:
    """Return a call of a validator: with a value, the context, and the document.

    What it refuses is a fault of the document, from which the value was made.
    """
    function, informed = resolved(node["function"]), node.get("info", False)

    def call(value: Any, context: Any, document: Any) -> Any:
        try:
            if informed:
                return function(value, ValidationInfo(context))
            return function(value)
        except ValidationError as error:
            raise Faults(error.faults) from None
        except ValueError as error:
            message = f"Value error, {error}"
            raise fault("value_error", message, document, error=error) from None
        except AssertionError as error:
            message = f"Assertion failed, {error}"
            raise fault("assertion_error", message, document, error=error) from None

    return call


def _plain(node: Node) -> Check:
    call = _call(node)
    return lambda value, context: call(value, context, value)


def _before(node: Node) -> Check:
    call, then = _call(node), built(node["schema"])
    return lambda value, context: then(call(value, context, value), context)


def _after(node: Node) -> Check:
    first, call = built(node["schema"]), _call(node)
    return lambda value, context: call(first(value, context), context, value)


def _fields(node: Node) -> Check:
    """Return values of all fields, and the names of those that were given."""
    fields = [
        (name, field["alias"], built(field["schema"]), _missing(field["schema"]))
        for name, field in node["fields"].items()
    ]
    title = node["model_name"]

    def check(value: Any, context: Any) -> tuple[dict[str, Any], set[str]]:
        if not isinstance(value, dict):
            message = f"Input should be a valid dictionary or instance of {title}"
            raise fault("model_type", message, value, class_name=title)
        values: dict[str, Any] = {}
        given: set[str] = set()
        found: list[Fault] = []
        for name, alias, inner, missing in fields:
            item, key = value.get(alias, _ABSENT), alias
            if item is _ABSENT:
                item, key = value.get(name, _ABSENT), name
            if item is not _ABSENT:
                try:
                    values[name] = inner(item, context)
                except Faults as faults:
                    found += faults.below(key)
                given.add(name)
            elif missing is not None:
                values[name] = missing()
            else:
                found.append(("missing", "Field required", value, None, (alias,)))
        if found:
            raise Faults(found)
        return values, given

    return check


def unvalidated(node: Node, values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` of a model with the defaults of what is not among them.

    `node` is the model's; a field without a default stays away.
    """
    while node["type"] != "model-fields":
        node = node["schema"]
    filled = {}
    for name, field in node["fields"].items():
        missing = _missing(field["schema"])
        if name in values:
            filled[name] = values[name]
        elif missing is not None:
            filled[name] = missing()
    return filled


def _missing(node: Node) -> Callable[[], Any] | None:
    """Return what makes the value of a field that is not given, None if it must be."""
    if "default_factory" in node:
        factory: Callable[[], Any] = resolved(node["default_factory"])
        return factory
    if "default_at" in node:
        member = resolved(node["default_at"])
        return lambda: member
    if "default" in node:
        return lambda: node["default"]
    return None


def _model(node: Node) -> Check:
    cls, inner = resolved(node["cls"]), built(node["schema"])
    instance = cls.__new__
    put = object.__setattr__

    def check(value: Any, context: Any) -> Any:
        if isinstance(value, cls):
            return value
        values, given = inner(value, context)
        made = instance(cls)
        put(made, "__dict__", values)
        put(made, "__pydantic_fields_set__", given)
        return made

    return check


def _model_of(node: Node) -> Check:
    """Another model, or this one again, built at its first use."""
    cls = resolved(node["cls"])
    # Not before there is a value, for models may contain each other.
    return lambda value, context: cls.__pydantic_validator__(value, context)  # noqa: PLW0108 - see above


KINDS: dict[str, Callable[[Node], Check]] = {
    "any": scalars.anything,
    "bool": scalars.truth,
    "default": _default,
    "dict": _dict,
    "enum": scalars.member,
    "function-after": _after,
    "function-before": _before,
    "function-plain": _plain,
    "int": scalars.number,
    "list": _list,
    "literal": scalars.word,
    "model": _model,
    "model-fields": _fields,
    "model-of": _model_of,
    "nullable": _nullable,
    "str": scalars.text,
}
