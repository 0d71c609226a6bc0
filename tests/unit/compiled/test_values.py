# SPDX-License-Identifier: Apache-2.0
"""What a packed file has in place of dataclasses, NamedTuple and enum does the same."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

import cni_common.compiled.values
import cni_common.spec.values


def classes(v: ModuleType) -> Any:
    """Return classes such as the suite has, made by one of the two modules."""

    @v.dataclass(frozen=True)
    class Base:
        name: str
        known: ClassVar[int] = 1
        tags: list[str] = v.field(default_factory=list, compare=False)

    @v.dataclass(frozen=True)
    class Below(Base):
        size: int = 3

        @property
        def double(self) -> int:
            return 2 * self.size

    @v.dataclass
    class Changing:
        items: dict[str, Any] = v.field(default_factory=dict)
        at: int = v.field(default=7)

    @v.dataclass(frozen=True, order=True)
    class Ordered:
        major: int
        minor: int = 0

    @v.dataclass(frozen=True, kw_only=True)
    class Named:
        key: str
        value: int = 0

    @v.dataclass(frozen=True, eq=False)
    class Itself:
        key: str

    @v.dataclass(frozen=True)
    class Own:
        key: str

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

        def __repr__(self) -> str:
            return "own"

    class Pair(v.NamedTuple):  # type: ignore[misc,name-defined] # of either module
        first: int
        second: str = "two"

        def both(self) -> str:
            return f"{self.first}{self.second}"

    class Word(v.StrEnum):  # type: ignore[misc,name-defined] # of either module
        """Words."""

        ONE = "one"
        NONE = ""

    class Number(v.IntEnum):  # type: ignore[misc,name-defined] # of either module
        LOW = 1
        HIGH = 99

    return SimpleNamespace(**{k: c for k, c in locals().items() if k != "v"}, v=v)


MODULES = [cni_common.spec.values, cni_common.compiled.values]


@pytest.fixture(params=MODULES, ids=["standard", "packed"])
def c(request: pytest.FixtureRequest) -> Any:
    return classes(request.param)


def test_values_are_made_by_position_and_name(c: Any) -> None:
    """Defaults fill in, of the base first; a factory makes one for each value."""
    made = c.Below("x", size=5)
    assert (made.name, made.tags, made.size, made.double) == ("x", [], 5, 10)
    assert c.Below("x").tags is not c.Below("x").tags
    assert c.Below("x", ["t"], 4) == c.Below(size=4, name="x")
    assert (c.Below.known, c.Below.size, c.Changing.at) == (1, 3, 7)
    assert not hasattr(c.Base, "tags")
    assert (c.Changing().at, c.Named(key="k").value) == (7, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda c: c.Base(),
        lambda c: c.Base("x", [], 3),
        lambda c: c.Base("x", name="y"),
        lambda c: c.Base("x", other=1),
        lambda c: c.Named("k"),
        lambda c: c.Pair(),
        lambda c: c.Pair(1, "b", 3),
        lambda c: c.Pair(1, first=2),
        lambda c: c.Pair(1, third=2),
        lambda c: c.Ordered(1) < (1, 0),
        lambda c: {c.Changing(): 1},
        lambda c: c.v.replace(c.Base("x"), other=1),
    ],
)
def test_what_is_wrong_is_a_type_error(c: Any, wrong: Any) -> None:
    """Too few, too many, twice, unknown, not to be compared or hashed."""
    with pytest.raises(TypeError):
        wrong(c)


def test_values_are_equal_by_their_fields(c: Any) -> None:
    """Only of one class, and only by what is compared; the hash goes with it."""
    assert c.Base("x", ["a"]) == c.Base("x", ["b"])
    assert c.Base("x") != c.Base("y")
    assert c.Base("x") != c.Below("x")
    assert len({c.Base("x", ["a"]), c.Base("x", ["b"]), c.Base("y")}) == 2
    assert c.Changing({"a": 1}) == c.Changing({"a": 1})
    assert c.Itself("x") != c.Itself("x")
    assert (c.Own("x") == 3, hash(c.Own("x")), repr(c.Own("x"))) == (True, 5, "own")


def test_order_is_that_of_the_fields(c: Any) -> None:
    """As tuples of them."""
    values = [c.Ordered(2), c.Ordered(1, 5), c.Ordered(1)]
    assert sorted(values) == [c.Ordered(1), c.Ordered(1, 5), c.Ordered(2)]
    assert c.Ordered(1) <= c.Ordered(1)
    assert c.Ordered(2) >= c.Ordered(1, 9)
    assert c.Ordered(2) > c.Ordered(1, 9)


def test_frozen_values_stay(c: Any) -> None:
    """Neither set nor deleted; others change."""
    for value, name in ((c.Base("x"), "name"), (c.Pair(1), "first"), (c.Word, "ONE")):
        with pytest.raises(AttributeError):
            setattr(value, name, "y")
        with pytest.raises(AttributeError):
            delattr(value, name)
    changing = c.Changing()
    changing.at = 8
    assert changing.at == 8


def test_values_are_shown_changed_and_taken_apart(c: Any) -> None:
    """repr, replace and asdict go by the fields."""
    below = c.Below("x", ["t"])
    name = c.Below.__qualname__
    assert repr(below) == f"{name}(name='x', tags=['t'], size=3)"
    assert c.v.replace(below, size=9) == c.Below("x", ["t"], 9)
    nested = c.Changing({"a": [below, (c.Named(key="k"),)]})
    inner = [{"name": "x", "tags": ["t"], "size": 3}, ({"key": "k", "value": 0},)]
    assert c.v.asdict(nested) == {"items": {"a": inner}, "at": 7}


def test_named_tuples_are_tuples(c: Any) -> None:
    """With names, defaults, methods; equal to what has the same items."""
    pair = c.Pair(1)
    first, second = pair
    assert (first, second, pair.second, pair.both()) == (1, "two", "two", "1two")
    assert pair == (1, "two")
    assert c.Pair(second="b", first=2) == (2, "b")
    assert pair._replace(first=3) == (3, "two")
    assert (c.Pair._fields, hash(pair)) == (("first", "second"), hash((1, "two")))
    assert repr(pair) == "Pair(first=1, second='two')"
    assert sorted([c.Pair(2), c.Pair(1)]) == [(1, "two"), (2, "two")]


def test_members_are_their_values(c: Any) -> None:
    """Found by value, shown as value, known by name, in the order of the class."""
    assert c.Word("one") is c.Word.ONE
    assert c.Word(c.Word.ONE) is c.Word.ONE
    assert (f"{c.Word.ONE}", str(c.Word.ONE), c.Word.ONE.name) == ("one", "one", "ONE")
    assert [each.value for each in c.Word] == ["one", ""]
    assert (f"{c.Number.HIGH}", int(c.Number.LOW), c.Number(99).name) == (
        *("99", 1),
        "HIGH",
    )
    assert repr(c.Number.LOW).endswith("Number.LOW: 1>")
    assert {c.Word.ONE: 1}["one"] == 1
    assert isinstance(c.Word.ONE, c.Word)
    for wrong in ("two", ["one"], None):
        with pytest.raises(ValueError, match=r"is not a valid .*Word"):
            c.Word(wrong)


def test_both_modules_offer_the_same() -> None:
    """What the suite may use is what a packed file has."""
    standard, packed = MODULES
    assert standard.__all__ == packed.__all__
