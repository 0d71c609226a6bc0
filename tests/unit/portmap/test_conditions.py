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
    assert conditions.match("conditionsV4", 4, tokens) == " ".join(tokens)


@pytest.mark.parametrize(
    ("words", "said"),
    (
        ("! -s 192.0.2.1/24", "ip saddr != { 192.0.2.0/24 }"),
        ("-s 10.0.0.0/9,10.128.0.0/9", "ip saddr { 10.0.0.0/8 }"),
        ("--dst=192.0.2.0/255.255.255.0", "ip daddr { 192.0.2.0/24 }"),
        ("-ieth+ ! -o lo", 'iifname "eth*" oifname != "lo"'),
        ("-i + -p all -m comment --comment x", ""),
        ("-p TCP -m tcp", "meta l4proto tcp meta l4proto tcp"),
        ("! -p 132", "meta l4proto != 132"),
        ("--sport 1024: ! --dport :9", "th sport { 1024-65535 } th dport != { 0-9 }"),
        ("-m multiport --dports 1,3:5", "th dport { 1, 3-5 }"),
        ("-m addrtype ! --src-type LOCAL", "fib saddr type != { local }"),
        ("-m state --state NEW,NEW", "ct state { new }"),
        ("-m mark ! --mark 0x10/0x10", "meta mark & 0x10 != 0x10"),
        ("-m mark --mark 7", "meta mark & 0xffffffff == 7"),
        ("-m iprange --src-range 10.0.0.1-10.0.0.9", "ip saddr 10.0.0.1-10.0.0.9"),
    ),
)
def test_words_of_iptables_are_said_in_nft(words: str, said: str) -> None:
    """The usual matches of iptables are said in the language of nft."""
    assert conditions.match("conditionsV4", 4, words.split()) == said


@pytest.mark.parametrize(
    ("words", "code", "named"),
    (
        ("-m set --match-set blocked src", 2, "'-m set'"),
        ("-m connmark --mark 1", 2, "'-m connmark'"),
        ("-i eth0 --syn", 2, "'--syn'"),
        ("-i eth0 -j ACCEPT", 2, "'-j'"),
        ("-m multiport ! --ports 1", 2, "'! --ports'"),
        ("-m addrtype --dst-type THROW", 2, "'THROW'"),
        ("-m conntrack --ctstate NEW,DNAT", 2, "'DNAT'"),
        ("-p icmp", 2, "'-p icmp'"),
        ("-i eth0 tcp", 2, "'tcp'"),
        ("! ! -i eth0", 2, "'!'"),
        ("-s fd00::/8", 7, "'fd00::/8'"),
        ("-s host.example", 7, "'host.example'"),
        ("-s 10.0.0.0/33", 7, "'10.0.0.0/33'"),
        ("-m iprange --src-range 10.0.0.9-10.0.0.1", 7, "'10.0.0.9-10.0.0.1'"),
        ("--dport http", 7, "'http'"),
        ("-m mark --mark 1;drop", 7, "'1;drop'"),
        ('-i "x', 7, "'\"x'"),
        ("-i a*", 7, "'a*'"),
        ("! -i +", 7, "'+'"),
        ("-i eth0 -s", 7, "-s has no value"),
        ("-i eth0 !", 7, "nothing stands behind !"),
    ),
)
def test_what_nft_cannot_say_is_named(words: str, code: int, named: str) -> None:
    """A word without a counterpart is unsupported, a value that is none invalid."""
    with pytest.raises(CNIError) as caught:
        conditions.match("conditionsV4", 4, words.split())
    assert caught.value.code == code
    assert caught.value.msg.startswith(f"use conditionsV4 {words!r}: ")
    assert named in caught.value.msg.partition(f"{words!r}: ")[2]


@pytest.mark.parametrize(
    ("tokens", "code"),
    (
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
    """What is no match is invalid."""
    with pytest.raises(CNIError) as caught:
        conditions.match("conditionsV6", 6, tokens)
    assert caught.value.code == code
    assert repr(" ".join(tokens)) in caught.value.msg
