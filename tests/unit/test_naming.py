# SPDX-License-Identifier: Apache-2.0
"""Names that are derived: equal for the same attachment, different for others."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_common import naming
from cni_common.naming import Attachment

ONE = Attachment("net", "c1", "eth0")
PLAIN = st.text("ab", min_size=1, max_size=4)
LONG = st.sampled_from(("x" * 100, "x" * 126, "x" * 200, "\udcff", "é" * 7, "a\tb"))
ATTACHMENTS = st.builds(Attachment, PLAIN | LONG, PLAIN | LONG, PLAIN | LONG)


def test_host_veth_is_stable_and_differs_by_attempt() -> None:
    """The same attachment has the same name; another attempt another one."""
    assert naming.host_veth(ONE) == naming.host_veth(Attachment("net", "c1", "eth0"))
    names = {naming.host_veth(ONE, attempt) for attempt in range(5)}
    assert len(names) == 5
    assert all(re.fullmatch(r"veth[0-9a-f]{8}", name) for name in names)
    assert re.fullmatch(r"veth[0-9a-f]{8}", naming.random_veth())


def test_random_mac_is_local_and_unicast() -> None:
    """The second bit says locally administered, the first one not a group."""
    for _ in range(50):
        first = int(naming.random_mac()[:2], 16)
        assert (first & 2, first & 1) == (2, 0)


@given(ATTACHMENTS, ATTACHMENTS)
def test_no_two_attachments_share_a_name(one: Attachment, other: Attachment) -> None:
    """Comment, alias and digest are equal for equal attachments only."""
    for name in (naming.comment, naming.alias, Attachment.digest):
        assert (name(one) == name(other)) is (one == other)


@given(ATTACHMENTS)
def test_comment_is_what_nft_takes(attachment: Attachment) -> None:
    """At most 127 bytes of text, without quotes, backslashes or control characters."""
    comment = naming.comment(attachment)
    assert len(comment.encode()) < naming.COMMENT_MAX
    assert comment.isprintable()
    assert not set(comment) & set('"\\')


def test_short_comment_can_be_read() -> None:
    """An owner of usual length is written out."""
    assert naming.comment(ONE) == "net c1 eth0"
    assert naming.alias(ONE) == "cni net c1 eth0"
    assert str(ONE) == "container c1 interface eth0 on net"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b", "c"), ("a\0b", "", "c")),
        (("a", "b c", "d"), ("a", "b", "c d")),
    ],
)
def test_parts_do_not_run_together(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    """Where one part ends and the next begins is part of the digest."""
    assert Attachment(*one).digest() != Attachment(*other).digest()
