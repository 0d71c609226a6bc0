# SPDX-License-Identifier: Apache-2.0
"""Texts are taken for what their patterns said, digests are those of hashlib."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cni_common.spec import characters, digests

LIKELY = st.text("09afgzAZ:-._/ \n\0é٣", max_size=20)
PORTS = st.text("0059a ٣", max_size=7)


@settings(max_examples=500, deadline=None)
@given(LIKELY)
@example("a")
@example("a\n")
@example("0.b-c_D")
@example("-a")
def test_identifier_is_what_the_specification_says(text: str) -> None:
    """A letter or digit, then also "_", "." and "-"; no line break at the end."""
    expected = bool(re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*", text))
    assert characters.is_identifier(text) == expected


@settings(max_examples=500, deadline=None)
@given(st.lists(st.text("09afgA", max_size=3), max_size=8), st.sampled_from(":-."))
@example(["00"] * 6, ":")
@example(["0a"] * 6, "-")
def test_mac_is_six_pairs_of_digits(groups: list[str], separator: str) -> None:
    """Lower-case, with colons."""
    text = separator.join(groups)
    expected = bool(re.fullmatch("[0-9a-f]{2}(?::[0-9a-f]{2}){5}", text))
    assert characters.is_mac(text) == expected


@settings(max_examples=300, deadline=None)
@given(PORTS)
def test_port_has_at_most_five_digits(text: str) -> None:
    """And those of ASCII alone."""
    assert characters.is_port(text) == bool(re.fullmatch("[0-9]{1,5}", text))


def test_pattern_is_a_regular_expression() -> None:
    """With all that is asked of one, and `re` not imported before."""
    pattern = characters.Pattern("^a(b)?", multiline=True)
    assert pattern.findall("ab\na\nb") == ["b", ""]
    assert pattern.fullmatch("ab")
    assert not pattern.search("b")
    assert pattern.sub("-", "ab\nab") == "-\n-"
    assert characters.Pattern(",").split("1,2") == ["1", "2"]
    source = (
        "from cni_common.spec.characters import Pattern; p = Pattern('a')\n"
        "import sys; before = 're' in sys.modules; p.search('a'); print(before)"
    )
    words = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, '.')\n{source}",
    ]
    assert subprocess.check_output(words, text=True) == "False\n"


@pytest.mark.parametrize("text", ["", "abc", "ä\udc80"])
def test_digests_are_those_of_hashlib(text: str) -> None:
    """Of the bytes that an environment variable came as."""
    raw = text.encode("utf-8", "surrogateescape")
    assert digests.sha256_hex(text) == hashlib.sha256(raw).hexdigest()
    assert digests.sha512_hex(text) == hashlib.sha512(raw).hexdigest()
