# SPDX-License-Identifier: Apache-2.0
"""What models say of keys, joined with what the tables in docs say of the same keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from cni_common.spec import fields
from launcher.key_tables import Page, Row, Table, WrittenError

if TYPE_CHECKING:
    from collections.abc import Callable

    Node = dict[str, Any]

_CIDR = {"type": "string", "pattern": r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"}
_ADDRESS = {"type": "string", "pattern": "^[0-9A-Fa-f:.]+$"}
# What validators take that are functions.
_FORMS: dict[Callable[..., object], Node] = {
    fields.address: _ADDRESS,
    fields.address_if_any: {"type": "string", "pattern": "^[0-9A-Fa-f:.]*$"},
    fields.cidr: _CIDR,
    fields.subnet: _CIDR,
}
# The first word of a type in a table.
_TYPES = {
    **dict.fromkeys(("string", "absolute", "address", "CIDR", "IP", "MAC"), "string"),
    **dict.fromkeys(("bool", "boolean"), "boolean"),
    "integer": "integer",
    "list": "array",
    "object": "object",
}
_UNSET: tuple[object, ...] = (None, "", [], {})
# Where others write too.
_FREE_FORM = frozenset({"runtimeConfig", "args", "prevResult"})
_FREE = {"additionalProperties": True}


class _Models(GenerateJsonSchema):
    """What pydantic makes of models, as far as it is about keys in a file."""

    def function_plain_schema(self, schema: Any) -> Node:
        """Return the form of what a function takes, nothing for one that is marked."""
        return dict(_FORMS.get(schema["function"]["function"], {}))

    def nullable_schema(self, schema: Any) -> Node:
        """Return the inner form: null is absence, and nobody writes it."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> Node:
        """Return the inner form, with a default only to compare it."""
        made = self.generate_inner(schema["schema"])
        default = schema.get("default")
        return made if default in _UNSET else {**made, "default": default}


def of_model(model: Any) -> Node:
    """Return the schema of a model, with the models inside of it in their places."""
    whole = model.model_json_schema(schema_generator=_Models, by_alias=True)
    definitions = whole.pop("$defs", {})

    def inlined(node: Any) -> Any:
        if isinstance(node, list):
            return [inlined(item) for item in node]
        if not isinstance(node, dict):
            return node
        whole = dict(node)
        if "$ref" in whole:
            meant = definitions[whole.pop("$ref").rpartition("/")[2]]
            whole = {**meant, **whole}
        said = {"title", "description"}
        return {
            key: inlined(value)
            for key, value in whole.items()
            if key not in said or not isinstance(value, str)
        }

    made: Node = inlined(whole)
    return made


class Joined:
    """What a model and its page say of the same keys.

    The keys of an IPAM plugin's page are in `ipam` unless they have a path.
    """

    def __init__(self, own: Page, common: Page, *, is_ipam: bool) -> None:
        self.own = own
        self.common = common
        self.rows: Table = {}
        self._environment: Table = {}
        for key, row in own.tables.get("", {}).items():
            where, _, rest = key.partition(".")
            if where == "CNI_ARGS":
                self._environment[rest] = row
            elif is_ipam and where not in _FREE_FORM:
                self.rows[f"ipam.{key}"] = row
            else:
                self.rows[key] = row
        self._used: set[str] = set()

    def environment(self) -> dict[str, str]:
        """Return the keys of CNI_ARGS, and what they mean."""
        return {key: row.description() for key, row in self._environment.items()}

    def ours(self) -> list[str]:
        """Return the keys, by their paths in lists too, that the reference has not."""
        main = [
            key
            for key, row in self.rows.items()
            if row.is_ours or any(meant.is_ours for meant in self._meant(row))
        ]
        inner = [
            f"{parent.key}.{key}"
            for label, table in self.own.tables.items()
            for key, row in table.items()
            for parent in self.own.tables[""].values()
            if label and row.is_ours and self._label(parent) == label
        ]
        return [key.removeprefix("ipam.") for key in (*main, *inner)]

    def whole(self, node: Node) -> Node:
        """Return the schema of a configuration with all that the page says of it.

        Raises WrittenError for a key that only one of both has.
        """
        for key in ("ipam", "dns"):  # of the plugins that make use of them
            if not any(f"{path}.".startswith(f"{key}.") for path in self.rows):
                del node["properties"][key]
        for path, row in self.rows.items():
            _place(node, path.split("."), row)
        for key, row in self.common.tables["plugin"].items():
            parts = [key] if "/" in key else key.split(".")
            if parts[0] != "ipam":
                _place({**node, **_FREE}, parts, row)
        return self.file(node, "plugin")

    def file(self, node: Node, label: str = "") -> Node:
        """Return the schema of a file with what the page's tables say of its keys.

        `label` is the table of the common page that has what all such files have.
        Raises WrittenError as `whole` does.
        """
        made = self._explained(node, "", label)
        left = self.rows.keys() - self._used
        if left:
            raise self._refused(f"no model has {', '.join(sorted(left))}")
        return made

    def _explained(self, node: Node, path: str, label: str) -> Node:
        made = dict(node)
        if "items" in node:
            made["items"] = self._explained(node["items"], path, label)
        if "properties" not in node:
            return made
        made["properties"] = found = {}
        needed = set(node.get("required", ()))
        for key, inner in node["properties"].items():
            at = f"{path}.{key}" if path else key
            row = self._row(at, key, label)
            said = self._said(at, inner, row)
            found[key] = self._explained(said, at, self._label(row))
            needed |= {key} if row.required else set()
        made["required"] = sorted(needed)
        # Others may write there; and runtimes spell keys as Go does, which is fine.
        written = path.partition(".")[0] not in _FREE_FORM
        made["additionalProperties"] = not written
        if not written or not needed:
            del made["required"]
        return made

    def _said(self, path: str, inner: Node, row: Row) -> Node:
        """Return the schema of a key, with type and default as in its row."""
        made = {"description": self._description(row), **inner}
        default, value = made.pop("default", None), row.value()
        kind = _type(row)
        words = {word.lower() for word in made.get("enum", ())}
        if row.words() and words | {""} != row.words() | {""}:
            raise self._refused(f"{path} is one of {sorted(words)}")
        if not made.keys() & {"type", "enum", "anyOf"}:
            made["type"] = kind
        if kind is not None and made.get("type", "string") != kind:
            raise self._refused(f"{path} is no {kind}, but {made['type']}")
        if default is not None and default != value:
            raise self._refused(f"{path} is {default!r} by default, not {value!r}")
        return made if value is None else {**made, "default": value}

    def _description(self, row: Row) -> str:
        texts = [row.description(), *(m.description() for m in self._meant(row))]
        return ": ".join(texts)

    def _meant(self, row: Row) -> list[Row]:
        """Return the row of the same key in another table that stands for it, too."""
        said, _, label = row.type.partition(" in a ")
        return [self.own.tables[label][row.key]] if said == "as" else []

    def _row(self, path: str, key: str, label: str) -> Row:
        if path in self.rows:
            self._used.add(path)
            return self.rows[path]
        inside = [page.tables.get(label, {}) for page in (self.own, self.common)]
        of_all = self.common.tables["plugin"]
        main = self.own.tables.get("", {})
        for table, name in (*((t, key) for t in inside), (of_all, path), (main, key)):
            if name in table:
                return table[name]
        raise self._refused(f"no row says what {path} is")

    def _label(self, row: Row) -> str:
        """Return which table has the keys inside of a key, "" for none of its own."""
        if row.type.startswith("as `"):  # another key
            return self._label(self.own.tables[""][row.type[4:].rstrip("`")])
        for label in {*self.own.tables, *self.common.tables} - {""}:
            if row.key == label or row.type.endswith((f" {label}s", f" {label}es")):
                return label
        return ""

    def _refused(self, cause: str) -> WrittenError:
        return WrittenError(f"{self.own.path}: {cause}")


def _place(node: Node, path: list[str], row: Row) -> None:
    """Put a key where the model says no more than that there is an object."""
    key, *more = path
    members: Node = node.get("properties", {})
    if key not in members:
        if node.get("additionalProperties") is not True:
            return  # told as a key that no model has
        node["properties"] = members
        members[key] = {"type": "object", **_FREE} if more else {"type": _type(row)}
    if more:
        _place(members[key], more, row)


def _type(row: Row) -> str | None:
    """Return the type of JSON that a row says, None for words or another key's."""
    return _TYPES.get(row.type.replace(",", " ").partition(" ")[0])
