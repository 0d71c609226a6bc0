# SPDX-License-Identifier: Apache-2.0
"""bandwidth: a stopwatch at real transfers.

A mebibyte takes about a millisecond without limits. With 16 Mbit/s and a burst of 50 kB
it takes half a second and can take no less, so this bound tells limited from free on a
busy machine too. Where tests are to be more patient, limits are tighter by as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import PATIENCE
from netns.bandwidth.helpers import GATEWAYS, MEBIBYTE, attached, limits, node, seconds

if TYPE_CHECKING:
    from lab import Cni, Host
    from netns.bandwidth.helpers import Attached

RATE, BURST = int(2_000_000 / PATIENCE), 50_000  # bytes
# When the bucket is full at the start and the last frame has just passed.
AT_LEAST = (MEBIBYTE - BURST) / RATE - 0.05
INGRESS = {"ingressRate": RATE * 8, "ingressBurst": BURST * 8}
EGRESS = {"egressRate": RATE * 8, "egressBurst": BURST * 8}


@pytest.fixture
def one(host: Host, cni: Cni) -> Attached:
    """A container on a bridge."""
    return node(host, cni)


def received(one: Attached, family: int = 4) -> float:
    """Return how long the container takes to receive a mebibyte from the host."""
    return seconds(None, one.space, one.addresses[family])


def sent(one: Attached, family: int = 4) -> float:
    """Return how long the container takes to send a mebibyte to the host."""
    return seconds(one.space, None, GATEWAYS[family])


@pytest.mark.parametrize("family", (4, 6))
def test_ingress_slows_what_the_container_receives(one: Attached, family: int) -> None:
    """The limit of ingress holds for receiving, and sending is as fast as before."""
    one.call("ADD", one.conf(**INGRESS))
    assert AT_LEAST < received(one, family) < 10 * AT_LEAST
    assert sent(one, family) < AT_LEAST


@pytest.mark.parametrize("family", (4, 6))
def test_egress_slows_what_the_container_sends(one: Attached, family: int) -> None:
    """The limit of egress holds for sending, and receiving is as fast as before."""
    one.call("ADD", one.conf(**EGRESS))
    assert AT_LEAST < sent(one, family) < 10 * AT_LEAST
    assert received(one, family) < AT_LEAST


def test_burst_passes_at_once(one: Attached) -> None:
    """What fits into the burst is not slowed down."""
    roomy = {**INGRESS, **EGRESS, "ingressBurst": 1 << 25, "egressBurst": 1 << 25}
    one.call("ADD", one.conf(**roomy))
    assert received(one) < AT_LEAST
    assert sent(one) < AT_LEAST


def test_nothing_is_slow_after_delete(one: Attached) -> None:
    """DEL lifts the limits while the link still lives, and packets pass."""
    one.call("ADD", one.conf(**INGRESS, **EGRESS))
    one.call("DEL", one.conf())
    assert received(one) < AT_LEAST
    assert sent(one) < AT_LEAST


def test_neighbour_without_limits_is_slowed_by_the_other(host: Host, cni: Cni) -> None:
    """Between two containers the limit of the one that has it holds."""
    slow, free = (attached(cni, host.space(), container_id=cid) for cid in "ab")
    slow.call("ADD", slow.conf(**EGRESS))
    assert seconds(slow.space, free.space, free.addresses[4]) > AT_LEAST
    assert seconds(free.space, slow.space, slow.addresses[4]) < AT_LEAST


@pytest.mark.parametrize("family", (4, 6))
def test_unshaped_subnets_are_not_slowed(one: Attached, family: int) -> None:
    """Traffic with the subnets is free in both directions, all other is limited."""
    subnets = {4: "10.1.2.0/24", 6: "fd00:1::/64"}
    one.call("ADD", one.conf(**limits(RATE * 8, unshapedSubnets=[subnets[family]])))
    assert received(one, family) < AT_LEAST
    assert sent(one, family) < AT_LEAST
    other = 10 - family
    assert received(one, other) > AT_LEAST
    assert sent(one, other) > AT_LEAST


@pytest.mark.parametrize("family", (4, 6))
def test_shaped_subnets_alone_are_slowed(one: Attached, family: int) -> None:
    """Traffic with the subnets is limited in both directions, no other is."""
    subnets = {4: "0.0.0.0/0", 6: "fd00:1::/65"}
    one.call("ADD", one.conf(**limits(RATE * 8, shapedSubnets=[subnets[family]])))
    assert AT_LEAST < received(one, family) < 10 * AT_LEAST
    assert AT_LEAST < sent(one, family) < 10 * AT_LEAST
    other = 10 - family
    assert received(one, other) < AT_LEAST
    assert sent(one, other) < AT_LEAST


def test_subnet_of_the_container_itself_is_not_the_far_end(one: Attached) -> None:
    """Subnets are those of the far end: the container's own address limits nothing."""
    subnet = one.addresses[4] + "/32"
    one.call("ADD", one.conf(**limits(RATE * 8, shapedSubnets=[subnet])))
    assert received(one) < AT_LEAST
    assert sent(one) < AT_LEAST
