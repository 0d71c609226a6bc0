# SPDX-License-Identifier: Apache-2.0
"""What TARGET[:PORT][/PROTOCOL] of `cnipy why` means, and packets made by hand."""

from __future__ import annotations

import ipaddress

import pytest

from cni_common.spec.errors import CNIError
from cnipy.why.ends import read_target
from cnipy.why.flow import Flow, Goal
from cnipy.why.packet import checksum, packet


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web", ("web", 0, "icmp")),
        ("web:80", ("web", 80, "tcp")),
        ("web:53/udp", ("web", 53, "udp")),
        ("10.9.0.2", ("10.9.0.2", 0, "icmp")),
        ("10.9.0.2/icmp", ("10.9.0.2", 0, "icmp")),
        ("fd09::2", ("fd09::2", 0, "icmp")),
        ("[fd09::2]", ("fd09::2", 0, "icmp")),
        ("[fd09::2]:80/tcp", ("fd09::2", 80, "tcp")),
        ("/run/netns/web", ("/run/netns/web", 0, "icmp")),
        ("/run/netns/web:80", ("/run/netns/web", 80, "tcp")),
        ("/proc/1/ns/net:53/udp", ("/proc/1/ns/net", 53, "udp")),
    ],
)
def test_target_is_read(text: str, words: tuple[str, int, str]) -> None:
    """Host, port and protocol are told apart, for names, paths and both families."""
    assert read_target(text) == words


@pytest.mark.parametrize("text", ["web:http", "web:65536", "web/tcp", "web:80/icmp"])
def test_target_without_sense_is_refused(text: str) -> None:
    """A port that is none, and a protocol that does not go with it, are refused."""
    with pytest.raises(CNIError, match="parse target"):
        read_target(text)


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
@pytest.mark.parametrize(
    ("source", "target"), [("203.0.113.77", "10.9.0.2"), ("2001:db8::77", "fd09::2")]
)
def test_checksums_of_a_packet_add_up(protocol: str, source: str, target: str) -> None:
    """Over what they cover, with themselves, they are zero, as a receiver asks."""
    to, port = ipaddress.ip_address(target), 0 if protocol == "icmp" else 80
    flow = Flow(Goal(to, port, protocol, 101), 40000)
    made = packet(flow, ipaddress.ip_address(source))
    head = 20 if to.version == 4 else 40
    if to.version == 4:
        assert checksum(made[:head]) == 0
        pseudo = made[12:20]
    else:
        pseudo = made[8:40]
    body = made[head:]
    covered = pseudo + len(body).to_bytes(4, "big")
    covered += flow.protocol_number.to_bytes(4, "big")
    is_bare = to.version == 4 and protocol == "icmp"
    assert checksum(body if is_bare else covered + body) == 0
    assert protocol == "tcp" or len(made) == 101
