# SPDX-License-Identifier: Apache-2.0
"""`BaseModel` as the suite uses it: frozen values that are made by a written schema."""

from __future__ import annotations

from cni_common.compiled.dumping import dumpers
from cni_common.compiled.faults import Faults, ValidationError, fault
from cni_common.compiled.paths import imported, resolved
from cni_common.compiled.validators import built, unvalidated

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self

    from cni_common.compiled.scalars import Node

SCHEMAS = "cni_common.compiled.schemas"


class FieldInfo:
    """A field of a model: the key that it is read from, and its type."""

    __slots__ = ("_schema", "alias")

    def __init__(self, alias: str, schema: Node) -> None:
        self.alias = alias
        self._schema = schema

    @property
    def annotation(self) -> Any:
        """The type, as far as the schema tells it."""
        return _annotation(self._schema)


class OfClass:
    """An attribute of each model that is made when it is first asked for."""

    def __init__(self, make: Callable[[type[BaseModel]], Any]) -> None:
        self._make = make
        self._name = ""

    def __set_name__(self, owner: type[BaseModel], name: str) -> None:
        self._name = f"_made_{name}"

    def __get__(self, instance: BaseModel | None, owner: type[BaseModel]) -> Any:
        made = owner.__dict__.get(self._name)
        if made is None:
            made = self._make(owner)
            setattr(owner, self._name, made)
        return made


class BaseModel:
    """A model whose schema was written down when the suite was packed."""

    __slots__ = ("__dict__", "__pydantic_fields_set__")
    __pydantic_fields_set__: set[str]

    def __init_subclass__(cls) -> None:
        """What a class says of a field is in the schema, and no value of the class."""
        for name in cls.__annotations__:
            if not name.startswith("_") and name in cls.__dict__:
                delattr(cls, name)

    def __init__(self, /, **data: Any) -> None:
        made = _validated(type(self), data, None)
        object.__setattr__(self, "__dict__", made.__dict__)
        _put_fields_set(self, made.__pydantic_fields_set__)

    __pydantic_schema__ = OfClass(lambda cls: written(cls))  # noqa: PLW0108 - defined below
    __pydantic_validator__ = OfClass(lambda cls: built(cls.__pydantic_schema__))
    __pydantic_dumpers__ = OfClass(lambda cls: dumpers(cls.__pydantic_schema__))
    model_fields = OfClass(lambda cls: _fields(cls.__pydantic_schema__))

    @classmethod
    def model_rebuild(cls) -> None:
        """Build the validator now."""
        assert cls.__pydantic_validator__ is not None

    @classmethod
    def model_validate(cls, obj: Any, *, context: Any = None) -> Self:
        """Return `obj` as this model, or raise ValidationError."""
        made: Self = _validated(cls, obj, context)
        return made

    @classmethod
    def model_construct(cls, **values: Any) -> Self:
        """Return a model of `values` as they are; the others have their defaults."""
        made = cls.__new__(cls)
        filled = unvalidated(cls.__pydantic_schema__, values)
        object.__setattr__(made, "__dict__", filled)
        _put_fields_set(made, values.keys() & filled.keys())
        return made

    def model_copy(self, *, update: dict[str, Any] | None = None) -> Self:
        """Return a copy in which the fields of `update` have those values."""
        made = type(self).__new__(type(self))
        changed = update or {}
        object.__setattr__(made, "__dict__", {**self.__dict__, **changed})
        _put_fields_set(made, self.__pydantic_fields_set__ | changed.keys())
        return made

    @property
    def model_fields_set(self) -> set[str]:
        """The names of the fields that were given."""
        return self.__pydantic_fields_set__

    def model_dump(
        self, *, by_alias: bool = False, exclude_none: bool = False
    ) -> dict[str, Any]:
        """Return the values by name, or by alias, in the order of the schema."""
        options = {"by_alias": by_alias, "exclude_none": exclude_none}
        values = self.__dict__
        return {
            alias if by_alias else name: dump(values[name], options)
            for name, alias, dump in self.__pydantic_dumpers__
            if name in values and not (exclude_none and values[name] is None)
        }

    def __setattr__(self, name: str, value: Any) -> None:
        raise _frozen(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise _frozen(self, name, None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseModel):
            return NotImplemented
        return type(self) is type(other) and _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(tuple(_values(self).values()))

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from _values(self).items()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_shown(self))})"

    def __str__(self) -> str:
        return " ".join(_shown(self))


def written(cls: type[BaseModel]) -> Node:
    """Return the schema of a model that was there when the suite was packed."""
    module = imported(f"{SCHEMAS}.{cls.__module__.replace('.', '_')}")
    node: Node = module.SCHEMAS[cls.__qualname__]
    return node


def _fields(node: Node) -> dict[str, FieldInfo]:
    """Return the fields below a model's node by name."""
    while node["type"] != "model-fields":
        node = node["schema"]
    return {
        name: FieldInfo(field["alias"], field["schema"])
        for name, field in node["fields"].items()
    }


def _validated(cls: type[BaseModel], document: Any, context: Any) -> Any:
    try:
        return cls.__pydantic_validator__(document, context)
    except Faults as faults:
        raise ValidationError(cls.__name__, faults.faults) from None


def _frozen(model: BaseModel, name: str, value: Any) -> ValidationError:
    faults = fault("frozen_instance", "Instance is frozen", value)
    return ValidationError(type(model).__name__, faults.below(name))


def _put_fields_set(model: BaseModel, names: set[str]) -> None:
    object.__setattr__(model, "__pydantic_fields_set__", names)


def _values(model: BaseModel) -> dict[str, Any]:
    """Return the values of fields, without what a cached property put beside them."""
    values = model.__dict__
    return {name: values[name] for name in model.model_fields if name in values}


def _shown(model: BaseModel) -> list[str]:
    return [f"{name}={value!r}" for name, value in _values(model).items()]


def _annotation(node: Node) -> Any:
    """Return a type that has the models and containers of the one in the source."""
    kind = node["type"]
    if kind == "model-of":
        return resolved(node["cls"])
    if kind == "nullable":
        return _annotation(node["schema"]) | None
    if kind == "list":
        return list[_annotation(node["items_schema"])]  # type: ignore[misc] # at run time
    if kind == "dict":
        keys, values = map(_annotation, (node["keys_schema"], node["values_schema"]))
        return dict[keys, values]  # type: ignore[valid-type] # at run time
    return _annotation(node["schema"]) if "schema" in node else object
