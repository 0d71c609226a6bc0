# SPDX-License-Identifier: Apache-2.0
"""What cannot be written down stops the build, and says what it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cni_common.spec.model import GoModel
from launcher import schemas


class Word(StrEnum):
    """Two words."""

    ONE = "one"
    OTHER = "other"


def _as_it_is(value: object) -> object:
    return value


class Inner(GoModel):
    """A model inside of others."""

    word: Annotated[Word, BeforeValidator(_as_it_is)] = Word.ONE


class Outer(GoModel):
    """A model that contains itself, and another twice."""

    inner: Inner = Field(default_factory=Inner)
    others: list[Inner] | None = None
    again: Outer | None = None


class OfFloat(GoModel):
    """A kind of node that no model of the suite has."""

    number: float = 0.0


class OfPattern(GoModel):
    """A key that no node of the suite has."""

    text: str = Field(default="", pattern="a+")


class OfLambda(GoModel):
    """A factory without a name."""

    words: list[str] = Field(default_factory=lambda: ["a"])


class OfList(GoModel):
    """A default that could be changed."""

    words: list[str] = []  # noqa: RUF012 - that is the case


class Lax(BaseModel):
    """A model that converts."""

    model_config = ConfigDict(strict=False)
    number: int = 0


def local() -> type[GoModel]:
    """Return a model with a validator that nobody else can import."""

    def inside(value: object) -> object:
        return value

    class OfLocal(GoModel):
        word: Annotated[str, BeforeValidator(inside)] = ""

    return OfLocal


def written(model: type[BaseModel]) -> Any:
    """Return the schema of a model."""
    model.model_rebuild()
    return schemas.Writer(model).whole()


@pytest.mark.parametrize(
    ("model", "cause"),
    [
        (OfFloat, "unknown kind of node 'float'"),
        (OfPattern, "unknown key 'pattern' of str"),
        (OfLambda, r"<lambda> \(.*test_schemas.py:\d+\) cannot be imported"),
        (OfList, r"default \[\] is no constant"),
        (Lax, "unknown configuration|field with"),
        (local(), r"<locals>.* cannot be imported"),
    ],
)
def test_what_has_no_name_stops_the_build(model: type[BaseModel], cause: str) -> None:
    """The refusal says which model, and what of it."""
    with pytest.raises(schemas.NotWrittenError, match=cause):
        written(model)


def test_models_and_members_are_named() -> None:
    """A model inside of another, itself too, and a default of an enum are paths."""
    text = repr(written(Outer))
    here = __name__
    assert text.count(f"{{'type': 'model-of', 'cls': '{here}:Inner'}}") == 2
    assert text.count(f"{{'type': 'model-of', 'cls': '{here}:Outer'}}") == 1
    assert f"'default_at': '{here}:Word.ONE'" in repr(written(Inner))


def test_schemas_are_the_same_each_time() -> None:
    """Nothing of this process's memory is in them."""
    first = schemas.modules(schemas.models())
    again = schemas.modules(schemas.models())
    assert first == again
    assert not [text for text in first.values() if " at 0x" in text]
