# SPDX-License-Identifier: Apache-2.0
"""Claims: what overlaps, who stays, who gives way; no kernel needed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from cni_common.naming import Attachment
from cni_common.published import claims
from cni_common.published.claims import Claim, Port, Target
from cni_common.published.conflicts import resolve_conflicts
from cni_common.spec.errors import CNIError

PORT = Port("tcp", 8080)
V4, V6 = Target("10.1.0.2", "br0"), Target("fd01::2", "br0")


def claim(**keys: Any) -> Claim:
    """Return a claim whose holder lives: this very namespace stands for its own."""
    own = "/proc/thread-self/ns/net"
    status = os.stat(own)
    living = Claim(
        host_ip="",
        network="net",
        container_id="c1",
        ifname="eth0",
        netns=own,
        identity=f"{status.st_dev}:{status.st_ino}",
        container_port=80,
        targets=(V4, V6),
    )
    return replace(living, **keys)


def resolved(
    present: list[Claim], attachment: Attachment, wanted: list[Claim]
) -> list[Claim]:
    """Return the claims on a port when the attachment has those that are wanted."""
    return resolve_conflicts({PORT: present}, attachment, {PORT: wanted})[PORT]


def dead(**keys: Any) -> Claim:
    """Return a claim whose holder is gone."""
    return claim(netns="/run/netns/gone", **keys)


def elsewhere(number: int) -> tuple[Target, ...]:
    """Return the addresses of another container."""
    return (Target(f"10.1.0.{number}", "br0"), Target(f"fd01::{number}", "br0"))


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    (
        ({}, {}, True),
        ({}, {"host_ip": "192.0.2.1"}, True),
        ({}, {"host_ip": "::"}, True),
        ({"host_ip": "0.0.0.0"}, {"host_ip": "::"}, False),
        ({"host_ip": "0.0.0.0"}, {"host_ip": "192.0.2.1"}, True),
        ({"host_ip": "192.0.2.1"}, {"host_ip": "192.0.2.1"}, True),
        ({"host_ip": "192.0.2.1"}, {"host_ip": "192.0.2.2"}, False),
        ({"host_ip": "192.0.2.1"}, {"host_ip": "2001:db8::1"}, False),
        ({"targets": (V4,)}, {"targets": (V6,)}, False),
        ({"targets": (V4,)}, {"host_ip": "::", "targets": (V6,)}, False),
    ),
)
def test_overlap(one: dict[str, Any], other: dict[str, Any], *, overlap: bool) -> None:
    """Two claims overlap when a packet of some family could be meant for both."""
    assert claim(**one).overlaps(claim(**other)) is overlap
    assert claim(**other).overlaps(claim(**one)) is overlap


def test_claims_survive_being_written() -> None:
    """A claim read back is the claim that was written."""
    written = claim(targets=(replace(V4, conditions="iifname eth0"), V6))
    assert claims.read([written.document()]) == ([written], "")


@pytest.mark.parametrize(
    "document", (None, {}, "x", [7], [{}], [{"targets": 7}], [{"targets": [{"a": 1}]}])
)
def test_what_is_no_claim_is_left_out(document: object) -> None:
    """A file of claims that somebody damaged holds nobody's claim."""
    found, cause = claims.read(document)
    assert found == []
    assert cause


def test_living_holder_refuses() -> None:
    """A living holder is named, with interface and network."""
    wanted = claim(container_id="c2", targets=elsewhere(3))
    with pytest.raises(CNIError) as caught:
        resolved([claim()], wanted.attachment, [wanted])
    assert caught.value.msg == (
        "publish tcp port 8080: held by container c1 (interface eth0, network net)"
    )


def test_living_holder_in_another_network_refuses() -> None:
    """A subnet of two networks gives nobody the other's port."""
    wanted = claim(container_id="c2", network="net2")
    with pytest.raises(CNIError) as caught:
        resolved([claim()], wanted.attachment, [wanted])
    assert "held by container c1" in caught.value.msg
    assert caught.value.details.endswith(
        "10.1.0.2, fd01::2 is the address of both containers"
    )


@pytest.mark.parametrize(
    "holder",
    (
        dead(),
        dead(network="net2", targets=elsewhere(3)),
        dead(host_ip="192.0.2.1"),
        claim(targets=elsewhere(3)),
        claim(identity="0:0"),
    ),
)
def test_holder_gives_way(holder: Claim) -> None:
    """A dead holder, or one whose address is ours now, gives way."""
    wanted = claim(container_id="c2", targets=elsewhere(3))
    assert resolved([holder], wanted.attachment, [wanted]) == [wanted]


def test_holder_of_another_address_stays() -> None:
    """A dead holder of another host address is left for its own DEL."""
    holder = dead(host_ip="192.0.2.1")
    wanted = claim(container_id="c2", host_ip="192.0.2.2")
    assert resolved([holder], wanted.attachment, [wanted]) == [holder, wanted]


def test_same_container_keeps_its_order() -> None:
    """Attachments of one container stay in the order in which they came."""
    first, second = claim(), claim(network="net2", ifname="eth1", targets=elsewhere(9))
    both = resolved([first], second.attachment, [second])
    changed = replace(first, container_port=81)
    assert both == [first, second]
    assert resolved(both, first.attachment, [changed]) == [changed, second]


def test_withdrawal_touches_its_own_claims_only() -> None:
    """Nothing wanted means nothing held, and nobody else loses anything."""
    other = dead(container_id="c9")
    assert resolved([claim(), other], Attachment("net", "c1", "eth0"), []) == [other]
    assert resolved([other], Attachment("net", "c1", "eth0"), []) == [other]
