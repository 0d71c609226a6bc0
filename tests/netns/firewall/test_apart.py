# SPDX-License-Identifier: Apache-2.0
"""firewall: guarded networks are apart whatever carries the rules of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.firewall.helpers import (
    Guarded,
    drop_forwarded,
    left,
    members,
    needs_variant,
    saved,
    touched,
    unreached,
)
from netns.portmap.helpers import NODE, ask_from, mapping, serving
from netns.portmap.helpers import request as publish

if TYPE_CHECKING:
    from lab import Cni, Host

GUARDED = {"ingressPolicy": "same-bridge"}
BACKENDS = ("nftables", "iptables")
FIRST, OTHER = ("10.1.0.2", "fd01::2"), ("10.2.0.2", "fd02::2")


@pytest.fixture
def node(host: Host, cni: Cni) -> Guarded:
    """A node with two bridges that drops nothing."""
    for variant in ("nft", "legacy"):
        needs_variant(variant)
    return Guarded(host, cni)


def ports(addresses: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return the address of each server."""
    return [(address, 80) for address in addresses]


@pytest.mark.parametrize("backend", BACKENDS)
def test_networks_of_two_backends_are_apart_both_ways(
    node: Guarded, backend: str
) -> None:
    """Of two guarded networks one may have its rules elsewhere, in either order."""
    one, two, other = node.container(2), node.container(3), node.neighbour(2)
    rest = next(name for name in BACKENDS if name != backend)
    node.ok("ADD", one, 2, backend=backend, **GUARDED)
    node.ok("ADD", two, 3, backend=backend, **GUARDED)
    node.ok("ADD", other, 2, bridge="br1", backend=rest, **GUARDED)
    conf, options = publish(one, 2, mapping(8080))
    node.cni.ok("portmap", "ADD", conf, **options)
    with serving(one, "one"), serving(other, "other"):
        assert unreached(one, *ports(OTHER))
        assert unreached(other, *ports(FIRST))
        assert ask_from(two, FIRST[0], 80) == "one 10.1.0.3"
        assert ask_from(other, NODE, 8080) == "one 10.2.0.2"
    node.ok("CHECK", one, 2, backend=backend, **GUARDED)
    node.ok("CHECK", other, 2, bridge="br1", backend=rest, **GUARDED)
    node.cni.ok("portmap", "DEL", conf, **options)
    node.ok("DEL", one, 2)
    with serving(other, "other"):
        assert unreached(two, *ports(OTHER))
    node.ok("DEL", two, 3)
    with serving(other, "other"):
        assert ask_from(one, OTHER[0], 80) == "other 10.1.0.2"
    node.ok("DEL", other, 2, bridge="br1")
    assert nft_objects("ruleset") == [] or not [s for s in saved() if "CNI" in s]
    assert left() == []


@pytest.mark.parametrize("variant", ("nft", "legacy"))
def test_firewall_that_appears_leaves_networks_apart(
    node: Guarded, variant: str
) -> None:
    """A container from before the host dropped anything is kept from a later one."""
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2, **GUARDED)
    drop_forwarded(variant)
    node.ok("ADD", other, 2, bridge="br1", **GUARDED)
    with serving(one, "one"), serving(other, "other"):
        assert unreached(one, *ports(OTHER))
        assert unreached(other, *ports(FIRST))
    node.ok("DEL", "", 2)
    node.ok("ADD", one, 2, **GUARDED)
    with serving(one, "one"), serving(other, "other"):
        assert unreached(one, *ports(OTHER))
        assert unreached(other, *ports(FIRST))


def test_network_of_one_family_is_apart_in_both(node: Guarded) -> None:
    """Who gives himself an address of the other family is kept apart all the same.

    As beside a Docker that has only the IPv4 chain drop.
    """
    run("iptables-nft", "-P", "FORWARD", "DROP")
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2, families=(4,), **GUARDED)
    node.ok("ADD", other, 2, bridge="br1", **GUARDED)
    with serving(one, "one"), serving(other, "other"):
        assert unreached(one, *ports(OTHER))
        assert unreached(other, *ports(FIRST))


def test_check_names_the_missing_link(node: Guarded) -> None:
    """CHECK knows what is to be in nftables beside the rules of iptables."""
    space = node.container(2)
    keys: dict[str, Any] = {"backend": "iptables", **GUARDED}
    before = touched()
    node.ok("ADD", space, 2, **keys)
    assert members("elsewhere") == ["br0"]
    run("nft", "delete element inet cnipy_firewall elsewhere { br0 }")
    error = node.refused("CHECK", space, 2, **keys)
    assert error["msg"] == 'check firewall: missing element "br0" of elsewhere'
    run("nft", "flush ruleset")
    node.ok("DEL", space, 2)
    assert touched()["files"] == before["files"]
    assert nft_objects("ruleset") == []
