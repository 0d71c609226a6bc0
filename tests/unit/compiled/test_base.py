# SPDX-License-Identifier: Apache-2.0
"""A model without pydantic, from a schema as it is written at build."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from cni_common.compiled import names
from cni_common.compiled.base import SCHEMAS


class Inner(names.BaseModel):
    """A model inside of another."""

    address: Any = names.Field(alias="at")
    mtu: int = 0

    @names.model_validator(mode="before")
    @classmethod
    def _told(cls, value: Any, info: names.ValidationInfo) -> Any:
        if info.context == "refuse":
            raise ValueError("refused")
        return value


class Outer(names.BaseModel):
    """A model with models inside."""

    inner: Inner | None = None
    many: list[Inner] = names.Field(default_factory=list)
    named: dict[str, int] = names.Field(default_factory=dict)


def model(name: str, **fields: Any) -> dict[str, Any]:
    """Return the schema of a model of this module."""
    aliased = {
        key: {"alias": {"address": "at"}.get(key, key), "schema": schema}
        for key, schema in fields.items()
    }
    inner = {"type": "model-fields", "fields": aliased, "model_name": name}
    return {"type": "model", "cls": f"{__name__}:{name}", "schema": inner}


@pytest.fixture(autouse=True)
def schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the schemas of these models where a packed file has them."""
    inner = model(
        "Inner",
        address={"type": "any", "serializer": "builtins:str"},
        mtu={"type": "default", "schema": {"type": "int"}, "default": 0},
    )
    told = f"{__name__}:Inner._told"
    inner["schema"] = {
        "type": "function-before",
        "function": told,
        "info": True,
        "schema": inner["schema"],
    }
    reference = {"type": "model-of", "cls": f"{__name__}:Inner"}
    listed = {"type": "list", "items_schema": reference}
    number = {"type": "int"}
    named = {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": number}
    outer = model(
        "Outer",
        inner={
            "type": "default",
            "schema": {"type": "nullable", "schema": reference},
            "default": None,
        },
        many={"type": "default", "schema": listed, "default_factory": "builtins:list"},
        named={"type": "default", "schema": named, "default_factory": "builtins:dict"},
    )
    module = ModuleType("schemas")
    module.SCHEMAS = {"Inner": inner, "Outer": outer}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, SCHEMAS, ModuleType(SCHEMAS))
    monkeypatch.setitem(sys.modules, f"{SCHEMAS}.{__name__.replace('.', '_')}", module)


def test_document_becomes_models() -> None:
    """Nested models are made, defaults filled in, given fields remembered."""
    made = Outer.model_validate(
        {"inner": {"at": 1}, "many": [{"address": 2, "mtu": 3}]}
    )
    assert made == Outer(inner=Inner(address=1), many=[Inner(address=2, mtu=3)])
    assert made.model_fields_set == {"inner", "many"}
    assert repr(made.many) == "[Inner(address=2, mtu=3)]"
    assert made.model_dump(by_alias=True) == {
        "inner": {"at": "1", "mtu": 0},
        "many": [{"at": "2", "mtu": 3}],
        "named": {},
    }
    assert Outer().model_dump(exclude_none=True) == {"many": [], "named": {}}


def test_every_fault_is_told_with_its_place() -> None:
    """Places are keys and indices from the outermost document on."""
    document = {"inner": 1, "many": [{}, {"at": 1, "mtu": ""}], "named": {"a": ""}}
    with pytest.raises(names.ValidationError) as caught:
        Outer.model_validate(document)
    assert [error["loc"] for error in caught.value.errors()] == [
        ("inner",),
        ("many", 0, "at"),
        ("many", 1, "mtu"),
        ("named", "a"),
    ]
    assert caught.value.error_count() == 4
    assert str(caught.value).startswith("4 validation errors for Outer\ninner\n  Input")


def test_validator_learns_the_context() -> None:
    """What it refuses is a value error of the model inside."""
    with pytest.raises(names.ValidationError, match="1 validation error for Outer"):
        Outer.model_validate({"inner": {}}, context="refuse")


def test_model_cannot_be_changed() -> None:
    """Neither set nor deleted; a copy may differ."""
    made = Inner(address=1)
    with pytest.raises(names.ValidationError, match="Instance is frozen"):
        made.mtu = 3
    with pytest.raises(names.ValidationError, match="Instance is frozen"):
        del made.mtu
    copied = made.model_copy(update={"mtu": 3})
    assert (copied.mtu, copied.model_fields_set) == (3, {"address", "mtu"})
    assert len({made, copied, Inner(address=1)}) == 2


def test_construction_asks_nothing() -> None:
    """Values are as given, the others have their defaults or are missing."""
    made = Inner.model_construct(mtu="x", other=1)
    assert (dict(made), made.model_fields_set) == ({"mtu": "x"}, {"mtu"})
    assert not hasattr(made, "address")
    assert not hasattr(Inner, "mtu")


def test_fields_tell_key_and_type() -> None:
    """What looks for models inside of a type finds them."""
    annotations = {n: f.annotation for n, f in Outer.model_fields.items()}
    assert annotations["inner"] == Inner | None
    assert annotations["many"] == list[Inner]
    assert annotations["named"] == dict[object, object]  # type: ignore[misc]
    assert Inner.model_fields["address"].alias == "at"
