# SPDX-License-Identifier: Apache-2.0
"""The base of every model: documents are read with the rules of Go's encoding/json."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from cni_common.spec.errors import CNIError, Code


def camel(name: str) -> str:
    """Return the JSON key of a field: is_gateway -> isGateway."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class GoModel(BaseModel):
    """Frozen; keys match without regard to case, null is absence, types are strict.

    Unknown keys are accepted, as the specification lets runtimes add some.
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
    def _match_keys_as_go(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        keys = cls.keys()
        fields = cls.model_fields
        matched = {}
        for name, value in document.items():
            if value is None:
                continue
            matched[name if name in fields else keys.get(name.casefold(), name)] = value
        return matched

    @classmethod
    def unknown_keys(cls, document: dict[str, Any]) -> list[str]:
        """Return the keys of `document` that no field of the model reads."""
        known = cls.keys()
        return [name for name in document if name.casefold() not in known]


M = TypeVar("M", bound=GoModel)


def parse(model: type[M], document: object, what: str) -> M:
    """Return `document` as `model`, or raise code 7 with the path of the first key."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid(error, what) from error


def parse_leniently(model: type[M], document: dict[str, Any]) -> tuple[M, list[str]]:
    """Return `document` as `model` without its invalid keys, and the names of those.

    For verbs that must not fail over a configuration that has changed or broken
    since ADD. An error that belongs to no key drops everything but the name.
    """
    dropped: list[str] = []
    rest = dict(document)
    while True:
        try:
            return model.model_validate(rest), dropped
        except ValidationError as error:
            bad = {str(e["loc"][0]).casefold() for e in error.errors() if e["loc"]}
            kept = {k: v for k, v in rest.items() if k.casefold() not in bad}
            if len(kept) == len(rest):
                kept = {k: v for k, v in rest.items() if k.casefold() == "name"}
            if len(kept) == len(rest):
                raise invalid(error, "network configuration") from error
            dropped += [name for name in rest if name not in kept]
            rest = kept


def invalid(error: ValidationError, what: str) -> CNIError:
    """Return a pydantic error with code 7: first cause as msg, rest as details."""
    causes = []
    for e in error.errors(include_url=False):
        path = ".".join(str(part) for part in e["loc"])
        cause = e["msg"].removeprefix("Value error, ")
        causes.append(f"{path}: {cause}" if path else cause)
    return CNIError(
        Code.INVALID_CONFIG, f"parse {what}: {causes[0]}", "; ".join(causes[1:])
    )
