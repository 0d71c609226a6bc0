# SPDX-License-Identifier: Apache-2.0
"""CNI_ARGS: strict on ADD, never in the way of DEL."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_common.spec import cniargs
from cni_common.spec.errors import CNIError


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        (";", {}),
        ("IP=10.1.2.3", {"IP": "10.1.2.3"}),
        ("IP=10.1.2.3;", {"IP": "10.1.2.3"}),
        ("IP=1;IP=2", {"IP": "2"}),
        ("MAC=a=b", {"MAC": "a=b"}),
        ("MAC=", {"MAC": ""}),
        ("IgnoreUnknown=1;X=y", {"IgnoreUnknown": "1", "X": "y"}),
        ("X=y;IgnoreUnknown=TRUE", {"X": "y", "IgnoreUnknown": "TRUE"}),
        ("X=y;IgnoreUnknown=tRue", {"X": "y", "IgnoreUnknown": "tRue"}),
        ("IP=1;IgnoreUnknown=False", {"IP": "1", "IgnoreUnknown": "False"}),
    ],
)
def test_pairs_are_read(text: str, pairs: dict[str, str]) -> None:
    """A value may hold an equals sign, and a last semicolon is no pair."""
    assert cniargs.parse(text) == pairs


@pytest.mark.parametrize(
    ("text", "msg"),
    [
        ("word", "parse CNI_ARGS: invalid pair 'word'"),
        ("=x", "parse CNI_ARGS: invalid pair '=x'"),
        ("IgnoreUnknown=1;word", "parse CNI_ARGS: invalid pair 'word'"),
        ("K8S_POD_NS=x", "parse CNI_ARGS: unknown keys ['K8S_POD_NS']"),
        ("ip=10.1.2.3", "parse CNI_ARGS: unknown keys ['ip']"),
        ("IgnoreUnknown=0;X=y", "parse CNI_ARGS: unknown keys ['X']"),
    ],
)
def test_malformed_or_unknown_is_code_4_on_add(text: str, msg: str) -> None:
    """A pair that is none, or a key that nobody knows, is refused when strict."""
    with pytest.raises(CNIError) as raised:
        cniargs.parse(text)
    assert (raised.value.code, raised.value.msg) == (4, msg)


@pytest.mark.parametrize("value", ["maybe", "", "yes", "t", "2", " 1"])
def test_ignore_unknown_is_a_boolean(value: str) -> None:
    """Anything but 1, true, 0 and false is code 4 on ADD, and nothing on DEL."""
    with pytest.raises(CNIError) as raised:
        cniargs.parse(f"IP=1;IgnoreUnknown={value}")
    assert (raised.value.code, raised.value.msg) == (
        4,
        f"parse CNI_ARGS: IgnoreUnknown: {value!r} is neither true nor false",
    )
    pairs = cniargs.parse(f"IP=1;IgnoreUnknown={value}", strict=False)
    assert pairs["IP"] == "1"


def test_delete_reads_what_can_be_read() -> None:
    """Without strictness the rest is passed over."""
    assert cniargs.parse("word;IP=1;X=y", strict=False) == {"IP": "1", "X": "y"}


@given(st.text(max_size=60))
def test_lenient_reading_never_fails(text: str) -> None:
    """Any text has pairs, perhaps none; the strict ones are the same, or an error."""
    pairs = cniargs.parse(text, strict=False)
    with suppress(CNIError):
        assert cniargs.parse(text) == pairs
