# SPDX-License-Identifier: Apache-2.0
"""Conditions: what is a match, and which network they stand for."""

from __future__ import annotations

import pytest

from cni_common.spec.errors import CNIError
from plugins.portmap import conditions


@pytest.mark.parametrize(
    "tokens",
    (
        [],
        ["iifname", "!=", "eth9"],
        ["iifname", '"set"'],
        ["iifname", "eth-set"],
        ["ip", "saddr", "{", "10.0.0.0/8,", "192.168.0.0/16", "}"],
        ["ip saddr @blocked", "tcp dport 80-90"],
        ["meta", "mark", "&", "0x10", "==", "0"],
    ),
)
def test_matches_are_accepted(tokens: list[str]) -> None:
    """Matches in nft's language pass, whatever names are in quotes."""
    conditions.check("conditionsV4", tokens)


@pytest.mark.parametrize(
    ("tokens", "code"),
    (
        (["-i", "eth0"], 2),
        (["!", "-i", "eth0"], 2),
        (["accept"], 7),
        (["ip", "saddr", "1.2.3.4", "DROP"], 7),
        (["meta", "mark", "set", "1"], 7),
        (["jump", "x"], 7),
        (["tcp", "dport", "vmap", "{1:accept}"], 7),
        (["a", ";", "flush", "ruleset"], 7),
        (["a\nflush ruleset"], 7),
        (["$x"], 7),
        (["x\\"], 7),
        (["x", "#", "y"], 7),
        (['"eth0'], 7),
        (["{"], 7),
        (["}", "{"], 7),
        ([""], 7),
    ),
)
def test_others_are_refused_with_their_value(tokens: list[str], code: int) -> None:
    """iptables syntax is unsupported; what is no match is invalid."""
    with pytest.raises(CNIError) as caught:
        conditions.check("conditionsV6", tokens)
    assert caught.value.code == code
    assert repr(" ".join(tokens)) in caught.value.msg


def test_scope_is_of_network_family_and_text() -> None:
    """Another network, family or text is another scope; no text is none."""
    found = {
        conditions.scope("net", 4, "iifname eth0"),
        conditions.scope("net2", 4, "iifname eth0"),
        conditions.scope("net", 6, "iifname eth0"),
        conditions.scope("net", 4, "iifname eth1"),
    }
    assert len(found) == 4
    assert conditions.scope("net", 4, "") == ""
