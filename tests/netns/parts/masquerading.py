# SPDX-License-Identifier: Apache-2.0
"""Masquerading as seen from outside: the rules, and from where a datagram comes."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

import pytest
from lab import nft_objects

if TYPE_CHECKING:
    from lab import Space


def masqueraded() -> list[str]:
    """Return the comments of the masquerading rules, as nft lists them."""
    listed = nft_objects("chain", "inet", "cnipy_masquerade", "postrouting")
    rules = [item["rule"] for item in listed if "rule" in item]
    return [
        rule["comment"]
        for rule in rules
        if any("masquerade" in expression for expression in rule["expr"])
    ]


def seen_source(sender: Space, source: str, receiver: Space, target: str) -> str:
    """Send a datagram and return the address from which the receiver sees it.

    It is sent again for a while: a busy kernel is late to open a new uplink.
    """
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with receiver.entered():
        listener = socket.socket(family, socket.SOCK_DGRAM)
    with sender.entered():
        speaker = socket.socket(family, socket.SOCK_DGRAM)
    with listener, speaker:
        listener.bind(("", 7777))
        speaker.bind((source, 0))
        for _ in range(50):
            speaker.sendto(b"whose?", (target, 7777))
            if select.select([listener], [], [], 0.2)[0]:
                return str(listener.recvfrom(100)[1][0])
    pytest.fail(f"{target} has not seen {source}")
