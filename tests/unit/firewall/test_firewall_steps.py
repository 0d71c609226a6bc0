# SPDX-License-Identifier: Apache-2.0
"""What becomes of a packet that no particular rule is for, as rules are read."""

from __future__ import annotations

import pytest

from cni_common.allowed.filter_table import line, step
from cni_common.kernel.forward_chains import Step, drops

RULES = {
    "-A FORWARD -j DROP": Step(True, "drop"),
    "-A FORWARD -j REJECT --reject-with icmp-host-prohibited": Step(True, "drop"),
    '-A FORWARD -m comment --comment "a b" -j ACCEPT': Step(True, "accept"),
    "-A FORWARD -s 10.0.0.0/8 -j DROP": Step(False, "drop"),
    "-A FORWARD -i eth0 -m comment --comment x -j DROP": Step(False, "drop"),
    "-A FORWARD -j DOCKER-USER": Step(True, "jump", "DOCKER-USER"),
    "-A FORWARD -g ufw-reject": Step(True, "goto", "ufw-reject"),
    "-A FORWARD -p tcp -g other": Step(False, "goto", "other"),
    "-A FORWARD -j LOG --log-prefix x": Step(True, ""),
    "-A FORWARD -m limit --limit 1/sec": Step(False, ""),
    "-A FORWARD -j RETURN": Step(True, "return"),
}


@pytest.mark.parametrize(("text", "expected"), RULES.items())
def test_rule_is_read_as_far_as_its_fate_goes(text: str, expected: Step) -> None:
    """A comment is no condition, everything else before the target is."""
    assert step(text) == expected


def fate(policy: str, **chains: list[str]) -> bool:
    """Return whether FORWARD drops, with rules written after "-A CHAIN"."""
    return drops(
        "FORWARD",
        policy,
        lambda name: [step(f"-A {name} {rule}") for rule in chains.get(name, [])],
    )


def test_policy_decides_what_no_rule_does() -> None:
    """Without a rule for everything the policy holds, and with one it does not."""
    assert fate("drop")
    assert not fate("accept")
    assert not fate("drop", FORWARD=["-j ACCEPT"])
    assert fate("accept", FORWARD=["-s 10.0.0.1 -j ACCEPT", "-j REJECT"])


def test_chains_are_followed_and_left_again() -> None:
    """A chain that returns goes on behind its jump, but not behind a goto."""
    assert fate("accept", FORWARD=["-j a", "-j DROP"], a=["-j RETURN", "-j ACCEPT"])
    assert not fate("accept", FORWARD=["-g a", "-j DROP"], a=["-j RETURN"])
    assert fate("accept", FORWARD=["-j a"], a=["-j b"], b=["-j DROP"])


def test_container_chains_are_not_read() -> None:
    """CNI-FORWARD has rules for each container, and decides nothing for others."""

    def read(name: str) -> list[Step]:
        assert name == "FORWARD"
        return [step("-A FORWARD -j CNI-FORWARD"), step("-A FORWARD -j DROP")]

    assert drops("FORWARD", "accept", read)


def test_circle_ends() -> None:
    """Chains that the kernel would not take do not keep us either."""
    assert fate("drop", FORWARD=["-j a"], a=["-j a"])


@pytest.mark.parametrize(
    ("rule", "expected"),
    (
        (("CNI-FORWARD", "-j", "X"), "-A CNI-FORWARD -j X"),
        (("C", "--comment", "a b", "-i", "br;0"), '-A C --comment "a b" -i "br;0"'),
        (("C", "-s", "fd00::1/128", "!", "-o", "br0"), "-A C -s fd00::1/128 ! -o br0"),
    ),
)
def test_line_quotes_what_is_not_plain(rule: tuple[str, ...], expected: str) -> None:
    """A word that iptables-restore would split is in quotation marks."""
    assert line("-A", rule) == expected
