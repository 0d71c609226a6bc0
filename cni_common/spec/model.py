# SPDX-License-Identifier: Apache-2.0
"""The base of every model: documents are read with the rules of Go's encoding/json."""

from __future__ import annotations

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.typed import Any, ClassVar

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeVar

    M = TypeVar("M", bound="GoModel")


# Context of a validation whose input came from outside: there, a key is a key of
# JSON, and the Python name of a field is none.
_OUTSIDE = "outside"
# What a verb must know even of the most broken configuration.
_IDENTITY = frozenset({"cniversion", "name", "type", "ipam"})


def camel(name: str) -> str:
    """Return the JSON key of a field: is_gateway -> isGateway."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class GoModel(BaseModel):
    """Frozen; keys match without regard to case, null is absence, types are strict.

    Of two spellings of one key the exact one counts (`gojson.spelling`). Unknown keys
    are accepted, as the specification lets runtimes add some.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        alias_generator=camel,
        populate_by_name=True,
        defer_build=True,
    )
    _keys: ClassVar[dict[str, str] | None] = None

    @classmethod
    def keys(cls) -> dict[str, str]:
        """Return the JSON keys of the model by their case-folded form."""
        found = cls.__dict__.get("_keys")
        if found is None:
            found = {}
            for name, field in cls.model_fields.items():
                alias = field.alias or name
                found[alias.casefold()] = alias
            cls._keys = found
        return found

    @model_validator(mode="before")
    @classmethod
    def _match_keys_as_go(cls, document: Any, context: ValidationInfo) -> Any:
        if not isinstance(document, dict):
            return document
        keys = cls.keys()
        names = () if context.context == _OUTSIDE else cls.model_fields
        matched = {}
        for name, value in document.items():
            key = name if name in names else keys.get(name.casefold())
            if key is None or value is None:
                continue
            if name == key or document.get(key) is None:
                matched[key] = value
        return matched

    @classmethod
    def unknown_keys(cls, document: dict[str, Any]) -> list[str]:
        """Return the keys of `document` that no field of the model reads."""
        known = cls.keys()
        return [name for name in document if name.casefold() not in known]

    @classmethod
    def unread(
        cls, document: Mapping[str, Any]
    ) -> Iterator[tuple[tuple[str | int, ...], tuple[str, ...]]]:
        """Yield the path of each key that no field reads, in objects and lists too.

        With it come the keys that are read in its place.
        """
        known = cls.keys()
        for name, value in document.items():
            alias = known.get(name.casefold())
            if alias is None:
                yield (name,), tuple(known.values())
                continue
            inner = _model_in(cls._annotation(alias))
            for where, item in _objects(value) if inner else ():
                for path, keys in inner.unread(item) if inner else ():
                    yield (name, *where, *path), keys

    @classmethod
    def _annotation(cls, alias: str) -> Any:
        fields = cls.model_fields.items()
        return next(f.annotation for n, f in fields if (f.alias or n) == alias)


def _model_in(annotation: Any) -> type[GoModel] | None:
    """Return the model in an annotation such as `list[list[Range]] | None`."""
    from typing import get_args, get_origin  # noqa: PLC0415 - for the operator alone

    if isinstance(annotation, type) and issubclass(annotation, GoModel):
        return annotation
    # Values of a mapping have names of their own, which are no keys.
    if get_origin(annotation) is dict:
        return None
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model), None)


def _objects(value: Any) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Yield the objects in a value, each with the indexes of the lists around it."""
    if isinstance(value, dict):
        yield (), value
    for number, item in enumerate(value if isinstance(value, list) else ()):
        yield from (((number, *where), inner) for where, inner in _objects(item))


def build_all() -> None:
    """Build every model that is defined by now, rather than at its first use."""
    pending: list[type[GoModel]] = [GoModel]
    while pending:
        model = pending.pop()
        model.model_rebuild()
        pending += model.__subclasses__()


def parse(model: type[M], document: object, what: str) -> M:
    """Return `document` as `model`, or raise Code.INVALID_CONFIG with the first key."""
    try:
        return model.model_validate(document, context=_OUTSIDE)
    except ValidationError as error:
        raise invalid(error, what) from error


def parse_leniently(model: type[M], document: dict[str, Any]) -> tuple[M, list[str]]:
    """Return `document` as `model` without its invalid keys, and the names of those.

    For verbs that must not fail over a configuration that has changed or broken
    since ADD. An error that belongs to no key drops all but what tells the network
    and its IPAM plugin; if that is invalid too, the defaults remain.
    """
    dropped: list[str] = []
    rest = document
    while rest:
        try:
            return model.model_validate(rest, context=_OUTSIDE), dropped
        except ValidationError as error:
            paths = {_path(rest, e["loc"]) for e in error.errors()}
        if () in paths:
            others = [(key,) for key in rest if key.casefold() not in _IDENTITY]
            paths = set(others or [(key,) for key in rest])
        for path in sorted(paths):
            dropped.append(".".join(path))
            rest = _without(rest, path)
    return model.model_validate({}), dropped


def _path(document: dict[str, Any], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the keys that lead to an invalid value, up to the first list."""
    path: list[str] = []
    value: Any = document
    for part in location:
        if not isinstance(value, dict):
            break
        key = gojson.spelling(value, str(part))
        if key is None:
            break
        path.append(key)
        value = value[key]
    return tuple(path)


def _without(document: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    first, *more = path
    rest = dict(document)
    if more and isinstance(rest.get(first), dict):
        rest[first] = _without(rest[first], tuple(more))
    else:
        rest.pop(first, None)
    return rest


def invalid(error: ValidationError, what: str) -> CNIError:
    """Return a pydantic error as ours: first cause as msg, the rest as details."""
    causes = []
    for e in error.errors(include_url=False):
        path = ".".join(str(part) for part in e["loc"])
        cause = e["msg"].removeprefix("Value error, ")
        causes.append(f"{path}: {cause}" if path else cause)
    return CNIError(
        Code.INVALID_CONFIG, f"parse {what}: {causes[0]}", "; ".join(causes[1:])
    )
