# SPDX-License-Identifier: Apache-2.0
"""JSON is read as Go's encoding/json reads it."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_common.spec import gojson
from cni_common.spec.errors import CNIError

MALFORMED = {
    "empty": b"",
    "truncated": b'{"name": "n"',
    "garbage": b"garbage",
    "garbage behind": b'{"name": "n"} x',
    "two documents": b"{}{}",
    "array": b"[]",
    "text": b'"x"',
    "null": b"null",
    "byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "number beyond all bounds": b'{"a": 1e999}',
    "10,000 digits": b'{"a": ' + b"9" * 10_000 + b"}",
    "nested too deeply": b'{"a": ' + b"[" * 100_000,
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "control character in a text": b'{"a": "\n"}',
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_malformed_document_is_code_6(text: bytes) -> None:
    """What is no JSON object is a decode error that names what was decoded."""
    with pytest.raises(CNIError) as raised:
        gojson.load_object(text, "network configuration")
    assert raised.value.code == 6
    assert raised.value.msg.startswith("decode network configuration: ")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_code_6(text: bytes) -> None:
    """No input raises anything but a decode error, and what is read can be written."""
    with suppress(CNIError):
        value = gojson.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=10,
)


@given(JSON)
def test_good_document_is_read_as_it_is(value: object) -> None:
    """Escaped or not, a document is read as what was written."""
    assert gojson.loads(json.dumps(value, ensure_ascii=False).encode()) == value
    assert gojson.loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"\udc00x"', "\ufffdx"),
        (rb'"\ud800\u0041"', "\ufffdA"),
        (rb'"\uD83D\uDE00"', "\U0001f600"),
        (rb'"\\ud800"', r"\ud800"),
        (b'"a\xffb"', "a\ufffdb"),
    ],
)
def test_what_is_no_character_is_replaced(text: bytes, value: str) -> None:
    """Lone surrogates and invalid UTF-8 become U+FFFD, so that all can be encoded."""
    assert gojson.loads(text) == value


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ({"hostPort": 1}, 1),
        ({"HostPort": 1}, 1),
        ({"hostPort": 1, "HOSTPORT": 2}, 1),
        ({"HOSTPORT": 2, "hostPort": 1}, 1),
        ({"hostport": 1, "HOSTPORT": 2}, 2),
        ({"hostPort": 1, "HOSTPORT": None}, 1),
        ({"hostPort": None, "HOSTPORT": 2}, 2),
        ({"hostport": 1, "HOSTPORT": None}, 1),
        ({"hostPort": None}, None),
        ({}, None),
    ],
)
def test_member_is_found_as_go_finds_it(document: dict[str, int], value: int) -> None:
    """The exact spelling comes before others, of those the last; null is absence."""
    assert gojson.member(document, "hostPort") == value


def test_key_with_null_is_there() -> None:
    """Where null says something else than absence, it can be told."""
    assert gojson.spelling({"HOSTPORT": None}, "hostPort") == "HOSTPORT"
    assert gojson.spelling({"port": 1}, "hostPort") is None


def test_duplicate_key_has_the_last_value() -> None:
    """A key that is written twice has its last value."""
    assert gojson.loads(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("value", [7, True, [], {}, 10**4000])
def test_text_of_another_type_is_code_6(value: object) -> None:
    """A key that must be a text is refused otherwise, in a short message."""
    with pytest.raises(CNIError) as raised:
        gojson.string({"name": value}, "name")
    assert raised.value.code == 6
    assert len(raised.value.msg) < 150


def test_endless_number_is_refused_in_our_own_words() -> None:
    """A number of thousands of digits is code 6, without Python's advice."""
    with pytest.raises(CNIError) as raised:
        gojson.loads(b'{"a": 1' + b"0" * 5000 + b"}")
    assert raised.value.code == 6
    assert raised.value.msg.endswith(": invalid number of thousands of digits")


@pytest.mark.parametrize("document", [{}, {"name": None}, {"name": ""}])
def test_absent_text_is_empty(document: dict[str, str | None]) -> None:
    """A text that is absent, null or empty is the empty text."""
    assert gojson.string(document, "name") == ""
