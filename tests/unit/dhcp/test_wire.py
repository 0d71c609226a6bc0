# SPDX-License-Identifier: Apache-2.0
"""What comes off a wire is decoded as it was meant, or is a ValueError."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_common.spec.result import Result
from cnipy.keeper import datagram, options
from cnipy.keeper.message import Kind, Question
from plugins.dhcp import codes, domains, gob, rpc, wire

ASKED = Question(Kind.DISCOVER, 0x01020304, bytes(6), {codes.CLIENT_ID: b"\0web"})
# The heads of two calls as Go 1.19 encodes them, behind the type of the first.
OF_GO = bytes.fromhex(
    "2fff81030101075265717565737401ff8200010201"
    "0d536572766963654d6574686f64010c000103536571010600000014"
    "ff82010d444843502e416c6c6f6361746501070011"
    "ff82010c444843502e52656c6561736500"
)
RESULT: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "ips": [
        {"address": "10.1.2.3/24", "gateway": "10.1.2.1"},
        {"address": "fd00::7/64"},
    ],
    "routes": [
        {"dst": "0.0.0.0/0", "gw": "10.1.2.1", "mtu": 1400, "priority": 9},
        {"dst": "10.9.0.0/16", "scope": 0, "table": 0},
    ],
    "dns": {"nameservers": ["10.1.2.5"], "domain": "x", "search": ["y", "z"]},
}


def messages(content: bytes) -> list[bytes]:
    """Return the messages in a stream of gob."""
    found = []
    while content:
        size = gob.width(content[0])
        count = gob.length(content[0], content[1 : 1 + size])
        found.append(content[1 + size : 1 + size + count])
        content = content[1 + size + count :]
    return found


def read(content: bytes) -> list[dict[str, Any]]:
    """Return the values in a stream of gob."""
    reader = gob.Reader()
    values = [reader.value(message) for message in messages(content)]
    return [value for value in values if value is not None]


def test_what_go_has_encoded_is_read() -> None:
    """Its descriptions of types go before values."""
    assert read(OF_GO) == [
        {"ServiceMethod": "DHCP.Allocate", "Seq": 7},
        {"ServiceMethod": "DHCP.Release"},
    ]


@given(st.integers(0, 2**64 - 1), st.text(), st.binary(max_size=300))
def test_values_come_back(number: int, text: str, content: bytes) -> None:
    """In one stream, whose types are described once."""
    writer = gob.Writer()
    call = {"ServiceMethod": text, "Seq": number}
    args = {"ContainerID": text, "StdinData": content}
    stream = writer.message(wire.CALL, call) + writer.message(wire.ARGS, args)
    again = writer.message(wire.CALL, call)
    assert len(messages(again)) == 1
    first, second = ({k: v for k, v in each.items() if v} for each in (call, args))
    # A number is sent though it is 0: Go may have a pointer to it.
    first |= {"Seq": number}
    assert read(stream + again) == [first, second, first]


def test_result_comes_back() -> None:
    """All that a result of the newest version can have of a lease."""
    result = Result.read(RESULT, "1.1.0")
    stream = gob.Writer().message(rpc.RESULT, rpc.of_result(result))
    assert rpc.to_result(read(stream)[0]).document("1.1.0") == RESULT


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=4))
def test_no_message_is_worse_than_wrong(stream: list[bytes]) -> None:
    """Whatever a caller says ends that call at most."""
    reader = gob.Reader()
    for message in (*messages(OF_GO)[:1], *stream):
        with suppress(ValueError):
            reader.value(message)


@given(st.binary(min_size=1, max_size=9))
def test_lengths_are_bounded(content: bytes) -> None:
    """Nobody makes the keeper wait for a terabyte."""
    with suppress(ValueError):
        size = gob.width(content[0])
        assert gob.length(content[0], content[1 : 1 + size]) <= gob.MESSAGE_MAX


@given(st.binary(max_size=600))
def test_no_datagram_is_worse_than_wrong(content: bytes) -> None:
    """Neither below UDP nor above it."""
    with suppress(ValueError):
        datagram.unpacked(content)
    head = ASKED.packed()
    answer = b"\2" + head[1:240] + content
    with suppress(ValueError):
        ASKED.answered(answer)


def test_datagram_is_read_as_it_was_sent() -> None:
    """By the ports it is told whether a server has sent it."""
    sent = datagram.packed(b"hello", IPv4Address("10.0.0.1"), datagram.EVERYBODY)
    with pytest.raises(ValueError, match="not from a server"):
        datagram.unpacked(sent)
    turned = sent[:20] + sent[22:24] + sent[20:22] + sent[24:]
    assert datagram.unpacked(turned + b"padding") == b"hello"


@given(st.dictionaries(st.sampled_from(codes.DEFAULT), st.binary(max_size=80)))
def test_no_options_are_worse_than_wrong(given_: dict[int, bytes]) -> None:
    """A result can be made of any, and be told in any version."""
    address = options.IPv4Interface("10.0.0.5/24")
    result = options.result(address, given_, 0)
    for version in ("0.2.0", "0.4.0", "1.1.0"):
        result.document(version, keep_route_fields=True)


@given(st.binary(max_size=300))
def test_any_lists_of_domains_end(content: bytes) -> None:
    """Pointers that lead round in a circle included."""
    domains.listed(content)


@pytest.mark.parametrize(
    "reply",
    [
        {"DNS": 5},
        {"IPs": 5},
        {"IPs": [5]},
        {"IPs": [{"Address": 5}]},
        {"IPs": [{"Address": {"IP": 5, "Mask": b"\xff"}}]},
        {"IPs": [{"Address": {"IP": b"\x0a\x01\x02\x03", "Mask": 7}}]},
        {"IPs": [{"Address": {"Mask": b"\xff"}}]},
        {"Routes": [{"Dst": "x"}]},
        {"Routes": {"Dst": {}}},
        {"DNS": {"Nameservers": "x"}},
    ],
)
def test_reply_of_other_types_is_no_result(reply: dict[str, Any]) -> None:
    """Who answers says itself of which types its values are."""
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        rpc.to_result(reply)
