# SPDX-License-Identifier: Apache-2.0
"""What a run may print otherwise than the page has it, and what not."""

from __future__ import annotations

import pytest
from walk_throughs import agrees

PAIR = "4: veth0@if2: <UP>\n2: eth0@if4: <UP>\n"
FLOW = "src=10.0.0.1 sport=40000 dport=80 src=10.0.0.2 sport=80 dport=40000\n"


@pytest.mark.parametrize(
    ("page", "run"),
    [
        ("200\n", "200\n"),
        (PAIR, PAIR),
        (PAIR, "7: veth0@if3: <UP>\n3: eth0@if7: <UP>\n"),
        (FLOW, FLOW.replace("40000", "51234")),
        ("MAC 02:00:00:00:00:01 x\n", "MAC 0a:1b:2c:3d:4e:5f x\n"),
        ("a\n...\nd\n", "a\nb\nc\nd\n"),
        ("a\n...\nd\n", "a\nd\n"),
        ("{\n\t...\n}\n", "{\n\tb\n\tc\n}\n"),
        ("tcp 6 … [ASSURED]\n", "tcp 6 118 TIME_WAIT [ASSURED]\n"),
    ],
)
def test_volatile_words_may_differ(page: str, run: str) -> None:
    """Numbers of links, MACs, chosen ports, and what is left out."""
    assert agrees(page, run)


@pytest.mark.parametrize(
    ("page", "run"),
    [
        ("200\n", "000\n"),
        ("", "Device does not exist\n"),
        ("200\n", ""),
        ("200\n", "200\nwarning\n"),
        (PAIR, "7: veth0@if3: <UP>\n3: eth0@if8: <UP>\n"),
        (PAIR, "7: veth0@if7: <UP>\n7: eth0@if7: <UP>\n"),
        (PAIR, PAIR.replace("veth0", "veth1")),
        (FLOW, FLOW.replace("dport=40000", "dport=40001")),
        (FLOW, FLOW.replace("10.0.0.2", "10.0.0.3")),
        (FLOW, FLOW.replace("sport=80", "sport=81")),
        ("brd ff:ff:ff:ff:ff:ff\n", "brd 02:00:00:00:00:01\n"),
        ("a\n...\nd\n", "a\nb\n"),
        ("tcp 6 … [ASSURED]\n", "tcp 6 118\n[ASSURED]\n"),
    ],
)
def test_anything_else_does_not_agree(page: str, run: str) -> None:
    """Other words, more, less, or a volatile word that is not the same everywhere."""
    assert not agrees(page, run)
