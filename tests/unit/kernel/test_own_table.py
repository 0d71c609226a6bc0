# SPDX-License-Identifier: Apache-2.0
"""A table of our own: transactions between states, and bytes of keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_common.kernel.element_bytes import decoded, encoded
from cni_common.kernel.own_table import Content, ElementKey, OwnTable

TABLE = OwnTable("table inet cnipy_portmap {\n}\n")


def test_change_deletes_before_it_adds() -> None:
    """A changed value is deleted, which asserts it first, and then added."""
    key = ElementKey("hostports4", "tcp . 8080")
    text = TABLE.change(
        {key: Content("10.1.0.2 . 80", "old")},
        {key: Content("10.1.0.3 . 80", "new")},
    )
    where = "element inet cnipy_portmap hostports4"
    assert text.splitlines() == [
        f'add {where} {{ tcp . 8080 comment "old" : 10.1.0.2 . 80 }}',
        f"delete {where} {{ tcp . 8080 }}",
        f'add {where} {{ tcp . 8080 comment "new" : 10.1.0.3 . 80 }}',
    ]


CONTENTS = st.dictionaries(
    st.builds(
        ElementKey,
        st.sampled_from(("hostports4", "hairpin4")),
        st.sampled_from("abcdef"),
    ),
    st.builds(Content, st.sampled_from(("1", "2", "3")), st.just("")),
)


@given(CONTENTS, CONTENTS)
def test_change_leads_from_any_state_to_any(
    before: dict[ElementKey, Content], after: dict[ElementKey, Content]
) -> None:
    """The commands, carried out as nft does, lead from one state to the other."""
    state = {(key.name, key.key): c.value for key, c in before.items()}
    for line in TABLE.change(before, after).splitlines():
        verb, _, _, _, name, listed = line.split(" ", 5)
        for item in listed.strip("{} ").split(", "):
            key, _, value = item.partition(" : ")
            if verb == "delete":
                del state[name, key]
            else:
                assert state.setdefault((name, key), value) == value
    assert state == {(key.name, key.key): c.value for key, c in after.items()}


@pytest.mark.parametrize(
    ("kinds", "words", "raw"),
    [
        ("ifname", '"br0"', b"br0".ljust(16, b"\0")),
        ("ether_addr", "02:00:00:00:00:01", b"\2\0\0\0\0\1"),
        (
            "ether_addr . ifname",
            '02:00:00:00:00:01 . "veth1"',
            b"\2\0\0\0\0\1\0\0" + b"veth1".ljust(16, b"\0"),
        ),
        ("inet_proto . inet_service", "udp . 5353", b"\x11\0\0\0\x14\xe9\0\0"),
        (
            "ipv4_addr . inet_service",
            "10.1.0.2 . 80",
            b"\x0a\1\0\2\0\x50\0\0",
        ),
    ],
)
def test_words_are_encoded_as_the_kernel_has_them(
    kinds: str, words: str, raw: bytes
) -> None:
    """Parts are padded to four bytes where there are several."""
    assert encoded(kinds, words) == raw


@given(st.ip_addresses(v=6), st.integers(0, 65535))
def test_values_are_read_back(address: object, port: int) -> None:
    """What a map leads to is said in the words by which it was declared."""
    kinds, words = "ipv6_addr . inet_service", f"{address} . {port}"
    assert encoded(kinds, decoded(encoded(kinds, words))) == encoded(kinds, words)
