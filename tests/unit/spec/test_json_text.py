# SPDX-License-Identifier: Apache-2.0
"""JSON read and written as `json` does, without importing it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cni_common.spec import json_text

TEXT = st.text(st.characters(codec=None), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Whether two documents are equal, NaN included, and their types too."""
    return repr(one) == repr(other)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS)
def test_documents_are_written_as_json_does(document: Any) -> None:
    """In one line, and in many."""
    assert json_text.dumps(document) == json.dumps(document)
    for width in (1, 4):
        expected = json.dumps(document, indent=width)
        assert json_text.dumps_indented(document, width) == expected


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.sampled_from([None, 1]), st.sampled_from(["", " ", "\n\t\r "]))
def test_documents_are_read_as_json_does(
    document: Any, indent: int | None, around: str
) -> None:
    """Also with white space, which only JSON's own is."""
    text = around + json.dumps(document, indent=indent) + around
    assert same(json_text.loads(text), json.loads(text))
    assert same(json_text.loads(text.encode()), json.loads(text.encode()))


WRONG = (
    *("", " ", "{", "[1,]", '{"a":}', "1 2", "nul", "\ufeff1", '"\x01"', "[1]]"),
    *("01", "\xa01", '"\\x"', '"\\u12"', '"', '{"a" 1}', "{1: 2}", "[NaN"),
)
# Without `json`, as in a packed file, whose scanner needs it for its errors.
ALONE = """
import sys
sys.path.insert(0, ".")
from cni_common.spec import json_text
assert "json" not in sys.modules
try:
    json_text.loads(sys.argv[1])
except ValueError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_json_is_told_in_the_words_of_json(text: str) -> None:
    """The kind of error and its message are those of `json`, imported or not."""
    with pytest.raises(ValueError) as expected:  # noqa: PT011 - its words are compared
        json.loads(text)
    with pytest.raises(type(expected.value)) as found:
        json_text.loads(text)
    assert str(found.value) == str(expected.value)
    words = [sys.executable, "-I", "-S", "-X", "utf8", "-c", ALONE, text]
    told = subprocess.check_output(words, text=True)
    assert told == f"JSONDecodeError {expected.value}\n"


def test_objects_and_numbers_are_made_as_asked() -> None:
    """Pairs keep what is written twice; numbers and constants may be refused."""
    text = '{"a": 1, "a": [2.5, NaN, -Infinity]}'
    assert json_text.loads(text, pairs=tuple, real=str, constant=str) == (
        ("a", 1),
        ("a", ["2.5", "NaN", "-Infinity"]),
    )
    with pytest.raises(ValueError, match="no constant"):
        json_text.loads("[NaN]", constant=lambda _: int("no constant"))


@pytest.mark.parametrize("wrong", [{1, 2}, b"x", {"a": object()}, {(1,): 2}])
def test_what_json_cannot_say_is_a_type_error(wrong: Any) -> None:
    """As with json."""
    for write in (json.dumps, json_text.dumps, json_text.dumps_indented):
        with pytest.raises(TypeError):
            write(wrong)


def test_depth_without_end_is_a_recursion_error() -> None:
    """Which the seam turns into an error of CNI."""
    with pytest.raises(RecursionError):
        json_text.loads("[" * 200_000)
