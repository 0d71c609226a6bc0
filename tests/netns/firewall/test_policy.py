# SPDX-License-Identifier: Apache-2.0
"""firewall: who reaches whom, with real connections, for every backend and policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.firewall.helpers import Guarded, drop_forwarded, needs_variant, unreached
from netns.portmap.helpers import (
    NODE,
    NODE6,
    ask,
    ask_from,
    filter_bridged,
    mapping,
    serving,
)
from netns.portmap.helpers import request as publish

if TYPE_CHECKING:
    from lab import Cni, Host

# What the host does by itself; the plugin is to find out and to do the right thing.
HOSTS = ("open", "nft")
OUTSIDE = ("198.51.100.2", "2001:db8:99::2")
# Addresses of two containers of br0 and of one of br1.
FIRST, SECOND, OTHER = (
    ("10.1.0.2", "fd01::2"),
    ("10.1.0.3", "fd01::3"),
    ("10.2.0.2", "fd02::2"),
)


@pytest.fixture(params=HOSTS)
def node(request: pytest.FixtureRequest, host: Host, cni: Cni) -> Guarded:
    """A node with two bridges, whose own rules drop nothing, or all it forwards."""
    node = Guarded(host, cni)
    node.drops = request.param != "open"
    if node.drops:
        needs_variant(request.param)
        drop_forwarded(request.param)
    return node


def publish_port(node: Guarded, space: Any, number: int, port: int, **keys: Any) -> Any:
    """Publish a port of a container whose prevResult names its bridge and port."""
    conf, options = publish(space, number, mapping(port), **keys)
    return node.cni.ok("portmap", "ADD", conf, **options)


def test_container_reaches_the_outside_and_gets_answers(node: Guarded) -> None:
    """What a container sends is forwarded, and so are the answers; not before ADD."""
    space = node.container(2)
    targets = [(address, 80) for address in OUTSIDE]
    with serving(node.outside, "outside"):
        before = unreached(space, *targets)
        node.ok("ADD", space, 2)
        after = [ask_from(space, *target) for target in targets]
        node.ok("DEL", space, 2)
        gone = unreached(space, *targets)
    assert after == ["outside 10.1.0.2", "outside fd01::2"]
    assert before is gone is node.drops


@pytest.mark.parametrize("policy", ("open", "same-bridge", "isolated"))
def test_published_port_answers_the_outside(node: Guarded, policy: str) -> None:
    """A published port works under every policy, where forwarding is dropped too."""
    space = node.container(2)
    node.ok("ADD", space, 2, ingressPolicy=policy)
    publish_port(node, space, 2, 8080)
    with serving(space, "web"):
        answers = [ask_from(node.outside, at, 8080) for at in (NODE, NODE6)]
        own = ask(NODE, 8080)
    assert answers == ["web 198.51.100.2", "web 2001:db8:99::2"]
    assert own.startswith("web ")


@pytest.mark.parametrize("policy", ("same-bridge", "isolated"))
def test_guarded_networks_are_apart_both_ways(node: Guarded, policy: str) -> None:
    """Neither of two guarded bridges reaches the other, in both families."""
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2, ingressPolicy=policy)
    node.ok("ADD", other, 2, bridge="br1", ingressPolicy=policy)
    with serving(one, "one"), serving(other, "other"):
        assert unreached(other, *((address, 80) for address in FIRST))
        assert unreached(one, *((address, 80) for address in OTHER))
        assert ask(FIRST[0], 80) == "one 10.1.0.1"
        assert ask(OTHER[1], 80) == "other fd02::1"


def test_open_networks_reach_each_other(node: Guarded) -> None:
    """Without a policy, containers of two networks talk to each other."""
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2)
    node.ok("ADD", other, 2, bridge="br1", ingressPolicy="")
    with serving(one, "one"), serving(other, "other"):
        assert ask_from(other, FIRST[0], 80) == "one 10.2.0.2"
        assert ask_from(one, OTHER[1], 80) == "other fd01::2"


def test_guarded_network_reaches_an_open_one(node: Guarded) -> None:
    """Only guarded bridges are kept apart: one that is not is an outside to them."""
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2, ingressPolicy="same-bridge")
    node.ok("ADD", other, 2, bridge="br1")
    with serving(one, "one"), serving(other, "other"):
        assert ask_from(one, OTHER[0], 80) == "other 10.1.0.2"
        assert ask_from(other, FIRST[0], 80) == "one 10.2.0.2"


@pytest.mark.parametrize("bridged", ("0", "1"))
@pytest.mark.parametrize("policy", ("open", "same-bridge", "isolated"))
def test_neighbours_talk_unless_isolated(
    node: Guarded, policy: str, bridged: str
) -> None:
    """Within a bridge, isolated alone separates, with br_netfilter and without."""
    one, two = node.container(2), node.container(3)
    node.ok("ADD", one, 2, ingressPolicy=policy)
    node.ok("ADD", two, 3, ingressPolicy=policy)
    filter_bridged(bridged)
    with serving(two, "two"):
        if policy == "isolated":
            assert unreached(one, *((address, 80) for address in SECOND))
        else:
            assert ask_from(one, SECOND[0], 80) == "two 10.1.0.2"
            assert ask_from(one, SECOND[1], 80) == "two fd01::2"
        assert ask(SECOND[0], 80) == "two 10.1.0.1"


@pytest.mark.parametrize("policy", ("same-bridge", "isolated"))
def test_published_port_is_open_to_other_networks(node: Guarded, policy: str) -> None:
    """What is published to the world is so to guarded neighbours, and nothing else."""
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2, ingressPolicy=policy)
    node.ok("ADD", other, 2, bridge="br1", ingressPolicy=policy)
    publish_port(node, one, 2, 8080)
    with serving(one, "one"), serving(one, "hidden", 81):
        assert ask_from(other, NODE, 8080) == "one 10.2.0.2"
        assert ask_from(other, NODE6, 8080) == "one fd02::2"
        assert unreached(other, (FIRST[0], 81))


def test_isolated_neighbours_reach_each_others_published_port(node: Guarded) -> None:
    """Through the host's address an isolated container reaches what is published."""
    one, two = node.container(2), node.container(3)
    for number, space in ((2, one), (3, two)):
        node.ok("ADD", space, number, ingressPolicy="isolated")
    publish_port(node, one, 2, 8080)
    with serving(one, "one"):
        assert ask_from(two, NODE, 8080).startswith("one ")
        assert ask_from(one, NODE, 8080).startswith("one ")
        assert unreached(two, (FIRST[0], 80))


def test_policy_lasts_until_the_last_container_leaves(node: Guarded) -> None:
    """The bridge stays guarded while a container of it needs that, and no longer."""
    one, two, other = node.container(2), node.container(3), node.neighbour(2)
    for number, space in ((2, one), (3, two)):
        node.ok("ADD", space, number, ingressPolicy="same-bridge")
    node.ok("ADD", other, 2, bridge="br1", ingressPolicy="same-bridge")
    node.ok("DEL", one, 2, ingressPolicy="same-bridge")
    with serving(two, "two"):
        assert unreached(other, (SECOND[0], 80))
        node.ok("DEL", two, 3)
        node.ok("ADD", two, 3)
        assert ask_from(other, SECOND[0], 80) == "two 10.2.0.2"


def test_uplink_in_an_isolated_bridge_keeps_working(host: Host, cni: Cni) -> None:
    """Isolated containers reach what is behind a port that is no container's."""
    node = Guarded(host, cni)
    machine = node.container(9)
    space = node.container(2)
    node.ok("ADD", space, 2, ingressPolicy="isolated")
    with serving(machine, "machine"):
        assert ask_from(space, "10.1.0.9", 80) == "machine 10.1.0.2"


def test_routed_link_is_guarded_without_a_bridge(host: Host, cni: Cni) -> None:
    """A container on a veth of its own, as ptp makes it, is kept apart as well."""
    node = Guarded(host, cni)
    alone, other = host.space(), node.neighbour(2)
    run("ip", "link", "add", "p0", "type", "veth", "peer", "eth0", "netns", alone.name)
    run("ip", "addr", "add", "10.3.0.1/24", "dev", "p0")
    run("ip", "link", "set", "p0", "up")
    alone.run("ip", "addr", "add", "10.3.0.2/24", "dev", "eth0")
    alone.run("ip", "link", "set", "eth0", "up")
    alone.run("ip", "route", "add", "default", "via", "10.3.0.1")
    previous = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "p0"}, {"name": "eth0", "sandbox": alone.path}],
        "ips": [{"address": "10.3.0.2/24", "interface": 1}],
    }
    node.ok("ADD", alone, 2, prevResult=previous, ingressPolicy="same-bridge")
    with serving(alone, "alone"):
        assert ask_from(other, "10.3.0.2", 80) == "alone 10.2.0.2"
        node.ok("ADD", other, 2, bridge="br1", ingressPolicy="same-bridge")
        assert unreached(other, ("10.3.0.2", 80))
        assert ask("10.3.0.2", 80) == "alone 10.3.0.1"
