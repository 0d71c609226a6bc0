# SPDX-License-Identifier: Apache-2.0
"""Which packets of ARP say that somebody has an address."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from cnipy.keeper import arp

OWN, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
WANTED, ELSE = IPv4Address("10.77.0.100"), IPv4Address("10.77.0.7")


def packet(number: int, sender: bytes, claimed: IPv4Address, target: str) -> bytes:
    """Return a packet as RFC 826 has it."""
    head = bytes.fromhex("00010800060400") + bytes((number,))
    target_address = IPv4Address(target).packed
    return head + sender + claimed.packed + bytes(6) + target_address


@pytest.mark.parametrize(
    ("content", "who"),
    [
        (packet(2, OTHER, WANTED, "0.0.0.0"), OTHER),
        (packet(1, OTHER, WANTED, "10.77.0.9"), OTHER),
        (arp.probe(OTHER, WANTED), OTHER),  # who is about to use it, too
        (arp.probe(OTHER, WANTED) + bytes(18), OTHER),  # as Ethernet pads it
        (packet(1, OTHER, ELSE, str(WANTED)), None),
        (packet(2, OTHER, ELSE, "0.0.0.0"), None),
        (arp.probe(OWN, WANTED), None),
        (arp.probe(OTHER, WANTED)[:-1], None),
        (b"\0\x06" + arp.probe(OTHER, WANTED)[2:], None),
        (b"", None),
    ],
)
def test_holder_is_who_claims_or_probes(content: bytes, who: bytes | None) -> None:
    """By an answer, by a question of its own, or by a probe like ours."""
    assert arp.holder(content, OWN, WANTED) == who
