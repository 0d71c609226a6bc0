# SPDX-License-Identifier: Apache-2.0
"""Answers of a name server are read as RFC 1035 writes them, or not at all."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_common.names import question

NAME = b"\3web\3dns\6podman\0"
QUESTION = NAME + struct.pack(">HH", 1, 1)


def answer(*records: tuple[int, bytes], name: bytes = b"\xc0\x0c") -> bytes:
    """Return an answer with records of (type, data)."""
    header = struct.pack(">6H", 7, 0x8180, 1, len(records), 0, 0)
    body = b"".join(
        name + struct.pack(">HHLH", kind, 1, 0, len(rdata)) + rdata
        for kind, rdata in records
    )
    return header + QUESTION + body


def test_question_is_written_as_labels() -> None:
    """A name becomes its labels, each behind its length."""
    written = question._question(7, "web.dns.podman", 1)
    assert written == struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + QUESTION


@pytest.mark.parametrize("name", [b"\xc0\x0c", NAME, b"\3web\xc0\x10"])
def test_addresses_are_found_behind_any_form_of_a_name(name: bytes) -> None:
    """Names may be whole, a pointer, or end in one; other records are passed over."""
    four, six = bytes([10, 1, 2, 3]), bytes(15) + b"\1"
    message = answer((5, b"\xc0\x0c"), (1, four), (28, six), name=name)
    assert question._addresses(message, 1) == {ipaddress.ip_address("10.1.2.3")}
    assert question._addresses(message, 28) == {ipaddress.ip_address("::1")}


@given(st.binary(max_size=80))
def test_garbage_ends(garbage: bytes) -> None:
    """Whatever follows the header, reading ends: with addresses or with an error."""
    header = struct.pack(">6H", 7, 0x8180, 1, 2, 0, 0)
    try:
        found = question._addresses(header + garbage, 1)
    except (struct.error, IndexError, ValueError):
        return
    assert len(found) <= 2
