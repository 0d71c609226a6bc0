# SPDX-License-Identifier: Apache-2.0
"""What Prometheus' own parser reads of a text is what was told."""

from __future__ import annotations

import pytest
from measurements import samples

from cnipy.exposition import Family, lines


@pytest.mark.parametrize(
    "text",
    ['a"} 1\nevil{b="', "back\\slash\\n", "two\nlines", "\\", '"', "ä€", "a,b=c{}", ""],
)
def test_label_of_a_stranger_is_read_as_it_is(text: str) -> None:
    """No text ends its label, its line, or begins a sample."""
    family = Family("cnipy_x", "gauge", "A test.")
    family.tell(3, container=text, network="n")
    told = "".join(f"{line}\n" for line in lines([family]))
    assert samples(told) == {
        ("cnipy_x", frozenset({("container", text), ("network", "n")})): 3
    }


def test_bytes_that_are_no_text_are_told_as_unknown() -> None:
    """A name that is no UTF-8 is shown with question marks."""
    family = Family("cnipy_x", "gauge", "A test.")
    family.tell(1, name=b"a\xff".decode(errors="surrogateescape"))
    told = "".join(f"{line}\n" for line in lines([family]))
    assert samples(told) == {("cnipy_x", frozenset({("name", "a?")})): 1}


def test_one_sample_for_the_same_labels() -> None:
    """Prometheus refuses a text with a sample twice: the last one counts."""
    family = Family("cnipy_x", "gauge", "A test.")
    family.tell(1, network="n")
    family.tell(2, network="n")
    told = "".join(f"{line}\n" for line in lines([family]))
    assert samples(told) == {("cnipy_x", frozenset({("network", "n")})): 2}
    assert list(lines([Family("cnipy_y", "gauge", "Nothing.")])) == []
