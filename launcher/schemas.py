# SPDX-License-Identifier: Apache-2.0
"""Build step: write down the schemas of all models, and put stand-ins in place.

    python -m launcher.schemas TREE

A schema is written as a literal, what it refers to as an import path. The build ends
with NotWrittenError for what has none, and for a kind of node that is not known.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from cni_common.compiled.paths import resolved
from cni_common.spec.model import GoModel
from launcher.everything import build_every_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

    Node = dict[str, Any]

FOLDER = "cni_common/compiled"
# What a packed file has in place of a module that would be expensive to import.
STAND_INS = {
    "names.py": "pydantic.py",
    "typed.py": "cni_common/spec/typed.py",
    "values.py": "cni_common/spec/values.py",
}
_HEAD = "# SPDX-License-Identifier: Apache-2.0\n# Written by launcher/schemas.py.\n"
# What says nothing about values; a reference is followed instead of written.
_SILENT = {"type", "metadata", "ref", "json_schema_input_schema"}
_CONFIG = {
    "strict": True,
    "extra_fields_behavior": "ignore",
    "validate_by_alias": True,
    "validate_by_name": True,
}


class NotWrittenError(Exception):
    """A model has something that cannot be written down."""


class Writer:
    """Writes the schema of one model; `definitions` are the nodes that it refers to."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        self.definitions: dict[str, Node] = {}
        self._inside: list[str] = []

    def whole(self) -> Node:
        """Return the schema of the model, as it is written."""
        node: Any = self.model.__pydantic_core_schema__
        if node["type"] == "definitions":
            self.definitions = {each["ref"]: each for each in node["definitions"]}
            node = node["schema"]
        if node["type"] == "definition-ref":
            node = self._referred(node)
        return self._spelled(node)

    def node(self, node: Node) -> Node:
        """Return a node inside of the model; one of a model is named only."""
        if node["type"] == "definition-ref":
            node = self._referred(node)
        cls = _model_of(node)
        if cls is None:
            return self._spelled(node)
        if cls is not self.model and path_of(cls) not in self._inside:
            # What is written once for all must be what is meant here.
            self._inside.append(path_of(cls))
            if self._spelled(node) != Writer(cls).whole():
                raise self._refused(f"{path_of(cls)} has another schema here")
            self._inside.pop()
        return {"type": "model-of", "cls": path_of(cls)}

    def _referred(self, node: Node) -> Node:
        return self.definitions[node["schema_ref"]]

    def _spelled(self, node: Node) -> Node:
        kind = node["type"]
        if kind not in _KEYS:
            raise self._refused(f"unknown kind of node {kind!r}")
        made: Node = {"type": kind}
        for key, value in node.items():
            if key in _SILENT:
                continue
            if key not in _KEYS[kind]:
                raise self._refused(f"unknown key {key!r} of {kind}")
            made |= _KEYS[kind][key](self, key, value)
        return made

    def _refused(self, cause: str) -> NotWrittenError:
        return NotWrittenError(f"write schema of {path_of(self.model)}: {cause}")

    # What follows is what _KEYS refers to.

    def below(self, key: str, value: Any) -> Node:
        """Write another node."""
        return {key: self.node(value)}

    def fields(self, key: str, value: Any) -> Node:
        """Write the fields of a model."""
        return {key: {name: self._field(field) for name, field in value.items()}}

    def _field(self, field: Node) -> Node:
        known = {"type", "metadata", "schema", "validation_alias"}
        alias = field.get("validation_alias")
        same = field.get("serialization_alias") == alias
        if field.keys() - known != {"serialization_alias"} or not same:
            raise self._refused(f"field with {sorted(field)}, alias {alias!r}")
        if not isinstance(alias, str):
            raise self._refused(f"alias {alias!r}")
        return {"alias": alias, "schema": self.node(field["schema"])}

    def literal(self, key: str, value: Any) -> Node:
        """Write a constant; a member of an enumeration is named."""
        if isinstance(value, Enum):
            return {f"{key}_at": path_of(value)}
        if type(value) not in {str, int, bool, type(None)}:
            raise self._refused(f"{key} {value!r} is no constant")
        return {key: value}

    def words(self, key: str, value: Any) -> Node:
        """Write the words of a Literal."""
        if not all(type(word) is str for word in value):
            raise self._refused(f"{key} {value!r} are not words alone")
        return {key: list(value)}

    def path(self, key: str, value: Any) -> Node:
        """Write where something is."""
        return {key: path_of(value)}

    def function(self, key: str, value: Any) -> Node:
        """Write where a validator is, and whether it wants to be informed."""
        unknown = value.keys() - {"type", "function", "field_name"}
        if unknown or value["type"] not in {"no-info", "with-info"}:
            raise self._refused(f"unknown kind of validator {value!r}")
        informed = {"info": True} if value["type"] == "with-info" else {}
        return {key: path_of(value["function"]), **informed}

    def serialization(self, _: str, value: Any) -> Node:
        """Write where a serializer is; pydantic's own beside a plain validator is none.

        It would warn of values that are none of the annotated type, nothing more.
        """
        function = value["function"]
        if value["type"] == "function-wrap" and function.__module__.startswith(
            "pydantic."
        ):
            return {}
        known = {"type", "function", "info_arg", "return_schema"}
        if value["type"] != "function-plain" or value.keys() - known:
            raise self._refused(f"unknown kind of serializer {value!r}")
        if value["info_arg"] or value["return_schema"] != {"type": "str"}:
            raise self._refused(f"unknown kind of serializer {value!r}")
        return {"serializer": path_of(function)}

    def config(self, _: str, value: Any) -> Node:
        """Write nothing, for the interpreter knows but one configuration."""
        if value != {**_CONFIG, "title": value["title"]}:
            raise self._refused(f"unknown configuration {value!r}")
        return {}

    def absent(self, key: str, value: Any) -> Node:
        """Write nothing, for nothing is asked for."""
        if value:
            raise self._refused(f"{key} {value!r}")
        return {}

    def implied(self, _key: str, _value: Any) -> Node:
        """Write nothing, for another key says it."""
        return {}


_W = Writer
_Writes = dict[str, Callable[[Writer, str, Any], "Node"]]
_FUNCTION: _Writes = {"function": _W.function, "schema": _W.below}
_KEYS: dict[str, _Writes] = {
    "any": {},
    "bool": {},
    "default": {
        "schema": _W.below,
        "default": _W.literal,
        "default_factory": _W.path,
        "default_factory_takes_data": _W.absent,
    },
    "dict": {"keys_schema": _W.below, "values_schema": _W.below},
    "enum": {"cls": _W.path, "members": _W.implied, "sub_type": _W.implied},
    "function-after": _FUNCTION,
    "function-before": _FUNCTION,
    "function-plain": {"function": _W.function, "serialization": _W.serialization},
    "int": dict.fromkeys(("ge", "gt", "le", "lt"), _W.literal),
    "list": {"items_schema": _W.below},
    "literal": {"expected": _W.words},
    "model": {
        "cls": _W.path,
        "schema": _W.below,
        "config": _W.config,
        "custom_init": _W.absent,
        "root_model": _W.absent,
    },
    "model-fields": {
        "fields": _W.fields,
        "model_name": _W.literal,
        "computed_fields": _W.absent,
    },
    "nullable": {"schema": _W.below},
    "str": {},
}


def path_of(thing: Any) -> str:
    """Return the import path of a class, function, bound method or enum member.

    Raises NotWrittenError if nothing, or something else, is found there.
    """
    if isinstance(thing, MethodType):
        path = f"{path_of(thing.__self__)}.{thing.__name__}"
    elif isinstance(thing, Enum):
        path = f"{path_of(type(thing))}.{thing.name}"
    else:
        path = f"{thing.__module__}:{thing.__qualname__}"
    try:
        found = resolved(path)
    except (ImportError, AttributeError):
        found = None
    if found != thing:
        code = getattr(thing, "__code__", None)
        where = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        msg = f"{path}{where} cannot be imported by its name"
        raise NotWrittenError(msg)
    return path


def _model_of(node: Node) -> type[BaseModel] | None:
    """Return the model whose schema `node` is, its own validators included."""
    if "ref" not in node:
        return None
    while node["type"] in {"function-after", "function-before"}:
        node = node["schema"]
    found: type[BaseModel] | None = node["cls"] if node["type"] == "model" else None
    return found


def models() -> list[type[BaseModel]]:
    """Return every model of library, plugins and command, built."""
    build_every_model()
    found: dict[type[BaseModel], None] = {}
    pending: list[type[BaseModel]] = [GoModel]
    while pending:
        model = pending.pop()
        found[model] = None
        pending += model.__subclasses__()
    rooms = ("cni_common.", "plugins.", "cnipy.net.")
    own = [model for model in found if model.__module__.startswith(rooms)]
    return sorted(own, key=path_of)


def modules(of: Iterable[type[BaseModel]]) -> dict[str, str]:
    """Return the source of each module of schemas by its name."""
    schemas: dict[str, tuple[str, dict[str, Node]]] = {}
    for model in of:
        name = model.__module__.replace(".", "_")
        origin, written = schemas.setdefault(name, (model.__module__, {}))
        if origin != model.__module__:
            msg = f"{origin} and {model.__module__} would share {name}.py"
            raise NotWrittenError(msg)
        written[model.__qualname__] = Writer(model).whole()
    return {name: _source(written) for name, (_, written) in schemas.items()}


def _source(schemas: dict[str, Node]) -> str:
    lines = (f"    {name!r}: {node!r},\n" for name, node in schemas.items())
    return f"{_HEAD}SCHEMAS = {{\n{''.join(lines)}}}\n"


def write(tree: Path) -> None:
    """Write the schemas into `tree`, and have the stand-ins where they belong."""
    folder = tree / FOLDER / "schemas"
    folder.mkdir()
    (folder / "__init__.py").write_text(_HEAD, encoding="utf-8")
    for name, source in modules(models()).items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    for name, place in STAND_INS.items():
        shutil.move(tree / FOLDER / name, tree / place)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
