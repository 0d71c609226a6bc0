# SPDX-License-Identifier: Apache-2.0
"""Each kind of node takes and refuses what pydantic-core does, in the same words."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core import SchemaValidator

from cni_common.compiled import names
from cni_common.compiled.faults import Faults
from cni_common.compiled.validators import built


class Word(StrEnum):
    """Also the words of the Literal."""

    TCP = "tcp"
    UDP = "udp"


class Number(IntEnum):
    """A number that is more than one."""

    FIVE = 5


class Text(str):
    """Text that is more than text."""

    __slots__ = ()


def refuses(value: object) -> object:
    """Refuse text in one way and numbers in another."""
    if isinstance(value, str):
        raise ValueError(f"{value!r} is text")
    assert not isinstance(value, int), "a number"
    return value


VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        9,
        10,
        -(10**40),
        10**40,
        1.0,
        float("inf"),
        Number.FIVE,
    ),
    *("", "tcp", "\ud800", "\udfffa", "ß", Word.TCP, Text("udp"), Text("\ud800"), b"x"),
    *([], ["a"], ["a", 1, None], [["a"]], ("a",), {"a"}),
    *({}, {"a": "b"}, {"a": 1, 2: "b", 3: 4}, {"\ud800": 1}, {b"x": 1}),
]
STR, INT = {"type": "str"}, {"type": "int"}
REFUSES = f"{__name__}:refuses"
NODES: list[dict[str, Any]] = [
    {"type": "any"},
    {"type": "bool"},
    STR,
    INT,
    {"type": "int", "ge": 1, "le": 9},
    {"type": "int", "gt": 1, "lt": 9},
    {"type": "literal", "expected": ["tcp"]},
    {"type": "literal", "expected": ["tcp", "udp"]},
    {"type": "literal", "expected": ["tcp", "udp", ""]},
    {"type": "enum", "cls": f"{__name__}:Word"},
    {"type": "list", "items_schema": STR},
    {"type": "list", "items_schema": {"type": "list", "items_schema": STR}},
    {"type": "dict", "keys_schema": STR, "values_schema": STR},
    {"type": "nullable", "schema": STR},
    {"type": "default", "schema": STR, "default": ""},
    {"type": "function-plain", "function": REFUSES},
    {"type": "function-before", "function": REFUSES, "schema": STR},
    {"type": "function-after", "function": REFUSES, "schema": {"type": "any"}},
    {"type": "list", "items_schema": {"type": "function-plain", "function": REFUSES}},
]


def original(node: dict[str, Any]) -> Any:
    """Return a written node as pydantic-core wants it."""
    made = {
        key: original(value) if isinstance(value, dict) else value
        for key, value in node.items()
    }
    if "function" in made:
        made["function"] = {"type": "no-info", "function": refuses}
    if "cls" in made:
        made |= {"cls": Word, "members": list(Word), "sub_type": "str"}
    return made


def told(error: Any) -> list[Any]:
    """Return what an error says, exceptions as text."""
    return [
        {
            **each,
            "ctx": {key: repr(value) for key, value in each.get("ctx", {}).items()},
        }
        for each in error.errors(include_url=False)
    ]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
@pytest.mark.parametrize("node", NODES, ids=ascii)
def test_node_takes_what_pydantic_takes(node: dict[str, Any], value: Any) -> None:
    """Value and type of what is taken, and all that is said of what is not."""
    validator = SchemaValidator(original(node), config={"strict": True})
    expected: list[Any]
    found: list[Any]
    try:
        taken = validator.validate_python(value)
        expected = [type(taken), taken]
    except ValidationError as error:
        expected = told(error)
    try:
        taken = built(node)(value, None)
        found = [type(taken), taken]
    except Faults as faults:
        found = told(names.ValidationError("it", faults.faults))
    assert found == expected
