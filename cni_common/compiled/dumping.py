# SPDX-License-Identifier: Apache-2.0
"""From a node of a written schema to a closure that takes a model's value apart."""

from __future__ import annotations

from cni_common.compiled.paths import resolved

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cni_common.compiled.scalars import Node

    # Takes a value and the options of the dump.
    Dump = Callable[[Any, dict[str, bool]], Any]


def dumper(node: Node) -> Dump:
    """Return the closure of a node, those below included."""
    if "serializer" in node:
        serializer = resolved(node["serializer"])
        return lambda value, _options: serializer(value)
    kind = KINDS.get(node["type"])
    if kind is not None:
        return kind(node)
    return dumper(node["schema"]) if "schema" in node else _as_it_is


def dumpers(node: Node) -> list[tuple[str, str, Dump]]:
    """Return name, alias and closure of each field below a model's node."""
    while node["type"] != "model-fields":
        node = node["schema"]
    return [
        (name, field["alias"], dumper(field["schema"]))
        for name, field in node["fields"].items()
    ]


def _as_it_is(value: Any, options: dict[str, bool]) -> Any:
    """Return a value of which the schema says nothing, containers anew."""
    if isinstance(value, list):
        return [_as_it_is(item, options) for item in value]
    if isinstance(value, dict):
        return {key: _as_it_is(item, options) for key, item in value.items()}
    return value


def _nullable(node: Node) -> Dump:
    inner = dumper(node["schema"])
    return lambda value, options: None if value is None else inner(value, options)


def _list(node: Node) -> Dump:
    inner = dumper(node["items_schema"])
    return lambda value, options: [inner(item, options) for item in value]


def _dict(node: Node) -> Dump:
    inner = dumper(node["values_schema"])

    def dump(value: Any, options: dict[str, bool]) -> dict[Any, Any]:
        return {key: inner(item, options) for key, item in value.items()}

    return dump


def _model_of(_: Node) -> Dump:
    return lambda value, options: value.model_dump(**options)


KINDS: dict[str, Callable[[Node], Dump]] = {
    "dict": _dict,
    "list": _list,
    "model-of": _model_of,
    "nullable": _nullable,
}
