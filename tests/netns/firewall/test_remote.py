# SPDX-License-Identifier: Apache-2.0
"""firewall: a network's containers on other nodes are neighbours, others' are not."""

from __future__ import annotations

import socket
import time
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from lab import PATIENCE, nft_objects, run
from netns.firewall.helpers import (
    Guarded,
    drop_forwarded,
    left,
    members,
    needs_variant,
    saved,
    unreached,
)
from netns.firewall.remote import THERE, THERE6, Remote, at, keys, pools
from netns.portmap.helpers import NODE, NODE6, ask_from, mapping, serving
from netns.portmap.helpers import request as publish

from cni_common import masquerade
from cni_common.allowed import declared as allowed
from cni_common.naming import Attachment
from cni_common.parts.allowed import Allowed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab import Cni, Host, Space

# How remote containers come, and what drops: the host itself, or nothing.
KINDS = pytest.mark.parametrize(
    ("overlay", "drops"), ((True, False), (False, True)), ids=("overlay", "uplink")
)
FIRST, OTHER = ("10.1.0.2", "fd01::2"), ("10.2.0.2", "fd02::2")


@pytest.fixture(params=("overlay", "uplink"))
def overlay(request: pytest.FixtureRequest) -> bool:
    """Whether the nodes' networks have a tunnel each, or all come by the uplink."""
    return bool(request.param == "overlay")


@pytest.fixture
def node(host: Host, cni: Cni) -> Guarded:
    """A node with two bridges that drops nothing."""
    return Guarded(host, cni)


def ports(addresses: Iterable[str]) -> list[tuple[str, int]]:
    """Return the address of each server."""
    return [(address, 80) for address in addresses]


@KINDS
def test_same_bridge_is_the_network_on_all_nodes(
    node: Guarded, host: Host, *, overlay: bool, drops: bool
) -> None:
    """Remote containers of the network are reached and reach; of another, neither."""
    if drops:
        needs_variant("nft")
        drop_forwarded()
    remote = Remote(host, node.outside, overlay=overlay)
    one, other = node.container(2), node.neighbour(2)
    far, far_other = remote.container(1), remote.container(2)
    node.ok("ADD", one, 2, **keys(1, "same-bridge", overlay=overlay))
    node.ok("ADD", other, 2, bridge="br1", **keys(2, "same-bridge", overlay=overlay))
    with serving(one, "one"), serving(far, "far"), serving(other, "other"):
        assert ask_from(far, FIRST[0], 80) == f"one {at(1)[0]}"
        assert ask_from(far, FIRST[1], 80) == f"one {at(1)[1]}"
        assert ask_from(one, at(1)[0], 80) == "far 10.1.0.2"
        assert ask_from(one, at(1)[1], 80) == "far fd01::2"
        assert unreached(far_other, *ports(FIRST))
        assert unreached(far, *ports(OTHER))
        assert unreached(other, *ports(at(1)))
        assert ask_from(far_other, OTHER[1], 80) == f"other {at(2)[1]}"
    node.ok("CHECK", one, 2, **keys(1, "same-bridge", overlay=overlay))


@KINDS
def test_isolated_has_no_neighbours_on_other_nodes(
    node: Guarded, host: Host, *, overlay: bool, drops: bool
) -> None:
    """Neither way; answers from outside and published ports pass all the same."""
    if drops:
        needs_variant("nft")
        drop_forwarded()
    remote = Remote(host, node.outside, overlay=overlay)
    one, far = node.container(2), remote.container(1)
    node.ok("ADD", one, 2, **keys(1, "isolated", overlay=overlay))
    conf, options = publish(one, 2, mapping(8080))
    node.cni.ok("portmap", "ADD", conf, **options)
    with serving(one, "one"), serving(far, "far"), serving(node.outside, "out", 81):
        assert unreached(far, *ports(FIRST))
        assert unreached(one, *ports(at(1)))
        assert unheard(far, at(1)[0], FIRST[0])
        assert unheard(far, at(1)[1], FIRST[1])
        assert ask_from(one, THERE, 81) == "out 10.1.0.2"
        assert ask_from(node.outside, NODE, 8080) == f"one {THERE}"
        assert ask_from(far, NODE, 8080) == f"one {at(1)[0]}"
        assert ask_from(far, NODE6, 8080) == f"one {at(1)[1]}"


def spoofing(space: Space, address: str) -> None:
    """Give a namespace an address that is not its own, as what it sends from."""
    length, nodad = (128, ["nodad"]) if ":" in address else (32, [])
    run(
        "ip",
        "-n",
        space.name,
        "addr",
        "add",
        f"{address}/{length}",
        "dev",
        "lo",
        *nodad,
    )


def heard(sender: Space, source: str, target: str, seconds: float = 2.0) -> bool:
    """Tell whether the host forwards a datagram of `source` within `seconds`."""
    ip = "ip6" if ":" in source else "ip"
    hook = "type filter hook postrouting priority 300;"
    rule = f"{ip} saddr {source} {ip} daddr {target} counter;"
    run("nft", f"table inet seen {{ chain seen {{ {hook} {rule} }}; }}")
    with sender.entered():
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sending:
            sending.bind((source, 0))
            sending.sendto(b"x", (target, 9))
    end = time.monotonic() + seconds * PATIENCE
    while not (found := _counted()) and time.monotonic() < end:
        time.sleep(0.01)
    run("nft", "delete table inet seen")
    return found


def _counted() -> bool:
    objects = nft_objects("table", "inet", "seen")
    rule = next(item["rule"] for item in objects if "rule" in item)
    return bool(next(e["counter"]["packets"] for e in rule["expr"] if "counter" in e))


def unheard(sender: Space, source: str, target: str) -> bool:
    """Tell whether no such datagram passes; one would do so within milliseconds."""
    return not heard(sender, source, target, 0.25)


@pytest.mark.parametrize("family", (0, 1))
def test_source_of_a_pool_is_believed_of_its_overlay_alone(
    node: Guarded, host: Host, family: int
) -> None:
    """Not of the uplink, of another network's overlay, or of a foreign source in it."""
    remote = Remote(host, node.outside, overlay=True)
    one = node.container(2)
    node.ok("ADD", one, 2, **keys(1, "same-bridge", overlay=True))
    far, far_other = remote.container(1), remote.container(2)
    own, foreign, target = at(1, 9)[family], at(2)[family], FIRST[family]
    length = 128 if family else 32
    spoofing(node.outside, own)
    spoofing(far_other, own)
    # The other network's containers send into this one's tunnel, and by the uplink.
    assert heard(far, at(1)[family], target)
    assert unheard(far_other, foreign, target)
    via = ("via", NODE6 if family else NODE, "dev", "eth0")
    at_node = ("ip", "-n", node.outside.name)
    run(*at_node, "route", "add", f"{target}/{length}", *via)
    assert unheard(node.outside, own, target)
    assert unheard(far_other, own, target)
    assert heard(node.outside, THERE if not family else "2001:db8:99::2", target)


def test_containers_of_another_network_do_not_pass_for_neighbours(
    node: Guarded, host: Host, *, overlay: bool
) -> None:
    """A local container that sends as a remote one of the other network is dropped."""
    remote = Remote(host, node.outside, overlay=overlay)
    one, other, far = node.container(2), node.neighbour(2), remote.container(1)
    node.ok("ADD", one, 2, **keys(1, "same-bridge", overlay=overlay))
    node.ok("ADD", other, 2, bridge="br1", **keys(2, "same-bridge", overlay=overlay))
    spoofing(other, at(1)[0])
    assert unheard(other, at(1)[0], FIRST[0])
    assert heard(far, at(1)[0], FIRST[0])


@pytest.mark.parametrize("policy", ("same-bridge", "isolated"))
def test_nothing_leaves_for_whom_is_kept_apart(
    node: Guarded, host: Host, policy: str
) -> None:
    """Not even a datagram, that wants no answer, goes to a node of another network."""
    Remote(host, node.outside, overlay=False)
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2, **keys(1, policy, overlay=False))
    node.ok("ADD", other, 2, bridge="br1", **keys(2, policy, overlay=False))
    for family in (0, 1):
        assert unheard(one, FIRST[family], at(2)[family])
        assert unheard(other, OTHER[family], at(1)[family])
        to_own = heard if policy == "same-bridge" else unheard
        assert to_own(one, FIRST[family], at(1)[family])
        assert heard(one, FIRST[family], (THERE, THERE6)[family])


def test_rules_do_not_grow_and_all_is_gone(node: Guarded, *, overlay: bool) -> None:
    """A second network brings elements alone, and the last DEL leaves nothing."""
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2, **keys(1, "isolated", overlay=overlay))
    before = sum("rule" in item for item in nft_objects("ruleset"))
    node.ok("ADD", other, 2, bridge="br1", **keys(2, "isolated", overlay=overlay))
    assert sum("rule" in item for item in nft_objects("ruleset")) == before
    assert members("pools4") == ["10.1.0.0/16", "10.2.0.0/16"]
    links = ["br0", "br1", *(["ov1", "ov2"] if overlay else [])]
    assert sorted({each.split(" . ")[0] for each in members("members6")}) == links
    node.ok("DEL", "", 2)
    assert members("pools6") == ["fd02::/48"]
    node.ok("DEL", "", 2, bridge="br1")
    assert (nft_objects("ruleset"), left()) == ([], [])


@pytest.mark.parametrize("lost", ("flushed", "records", "element"))
def test_what_is_lost_comes_back(node: Guarded, lost: str, *, overlay: bool) -> None:
    """After a flush, or when records are gone, the next ADD knows pools and overlay."""
    one, two = node.container(2), node.container(3)
    wanted = keys(1, "same-bridge", overlay=overlay)
    node.ok("ADD", one, 2, **wanted)
    tables = ("members4", "members6", "within", "overlays", "overlaid", "pools4")
    before = {name: members(name) for name in tables}
    if lost == "flushed":
        run("nft", "flush ruleset")
    elif lost == "element":
        run(
            "nft", 'delete element inet cnipy_firewall members4 { "br0" . 10.1.0.0/16 }'
        )
        error = node.refused("CHECK", one, 2, **wanted)
        text = 'check firewall: missing element "br0" . 10.1.0.0/16 of members4'
        assert error["msg"] == text
    else:
        run("sh", "-c", "rm -r /run/cni/cnipy/firewall* /run/cni/cnipy/table*")
    node.ok("ADD", two, 3, **wanted)
    assert {name: members(name) for name in tables} == before
    node.ok("CHECK", one, 2, **wanted) if lost != "records" else None
    node.ok("DEL", "", 3)
    node.ok("DEL", "", 2)
    assert nft_objects("ruleset") == []
    assert left() == []


def test_gc_takes_pools_with_the_last(node: Guarded, *, overlay: bool) -> None:
    """What is of no valid attachment is removed, pools and overlay among it."""
    node.ok("ADD", node.container(2), 2, **keys(1, "same-bridge", overlay=overlay))
    valid = {"cni.dev/valid-attachments": []}
    node.ok("GC", "", 2, **keys(1, "same-bridge", overlay=overlay), **valid)
    assert (nft_objects("ruleset"), left()) == ([], [])


def test_overlapping_pool_of_another_network_is_refused(node: Guarded) -> None:
    """It could not be told whose containers those are; nothing is changed."""
    node.ok("ADD", node.container(2), 2, **keys(1, "same-bridge", overlay=False))
    before = nft_objects("ruleset")
    wrong = {"ingressPolicy": "same-bridge", "pools": ["10.1.128.0/17"]}
    error = node.refused("ADD", node.neighbour(2), 2, bridge="br1", **wrong)
    text = "use pools 10.1.128.0/17: a pool of another network overlaps it"
    assert (error["code"], error["msg"]) == (7, text)
    sets = [item for item in nft_objects("ruleset") if "set" in item]
    assert [s["set"].get("elem") for s in sets] == [
        item["set"].get("elem") for item in before if "set" in item
    ]


@pytest.mark.parametrize(
    ("wrong", "cause"),
    (
        ({"overlayLink": "ov1"}, "without pools nobody is known to come by it"),
        ({"overlayLink": "a" * 16, "pools": ["10.1.0.0/16"]}, "not a link's name"),
        ({"overlayLink": "o*", "pools": ["10.1.0.0/16"]}, "not a link's name"),
        ({"pools": ["0.0.0.0/0"]}, "those are all addresses"),
        ({"pools": ["10.1.0.0/16", "10.1.2.0/24"]}, "it overlaps 10.1.0.0/16"),
    ),
)
def test_pools_that_make_no_sense_are_refused(
    node: Guarded, wrong: dict[str, Any], cause: str
) -> None:
    """The error names key and cause, and nothing is changed."""
    error = node.refused("ADD", node.container(2), 2, **wrong)
    assert error["code"] == 7
    assert error["msg"].endswith(cause)
    assert left() == []


def test_iptables_let_remote_neighbours_pass(node: Guarded, *, overlay: bool) -> None:
    """Each address has a rule that accepts the pool, by the overlay if there is one."""
    needs_variant("nft")
    wanted = keys(1, "open", overlay=overlay)
    space = node.container(2)
    node.ok("ADD", space, 2, backend="iptables", **wanted)
    by = " -i ov1" if overlay else ""
    found = [rule for rule in saved() if "-s 10.1.0.0/16" in rule]
    assert [rule.partition(" -m")[0] for rule in found] == [
        f"-A CNI-FORWARD -s 10.1.0.0/16 -d 10.1.0.2/32{by}"
    ]
    node.ok("CHECK", space, 2, backend="iptables", **wanted)
    node.ok("DEL", "", 2)
    assert not [rule for rule in saved() if "CNI" in rule]


def declared(which: int, *, overlay: bool) -> Allowed:
    """Return as what the agent declares the network of br0 (1) or br1 (2)."""
    return Allowed(
        addresses=(),
        guarded=(f"br{which - 1}",),
        pools=tuple(map(ip_network, pools(which))),
        overlay=f"ov{which}" if overlay else "",
    )


@KINDS
def test_declared_network_is_apart_where_it_has_no_container(
    node: Guarded, host: Host, *, overlay: bool, drops: bool
) -> None:
    """Its containers are elsewhere: guarded ones here do not reach them, nor they us.

    DEL of the last container leaves it, a flush is mended, and then all can be gone.
    """
    if drops:
        needs_variant("nft")
        drop_forwarded()
    remote = Remote(host, node.outside, overlay=overlay)
    one, far_other = node.container(2), remote.container(2)
    wanted = keys(1, "same-bridge", overlay=overlay)
    node.ok("ADD", one, 2, **wanted)
    allowed.ensure("other", declared(2, overlay=overlay))
    with serving(one, "one"), serving(far_other, "far"):
        assert unreached(far_other, *ports(FIRST))
        assert unreached(one, *ports(at(2)))
    node.ok("DEL", "", 2)
    before = nft_objects("ruleset")
    assert members("pools6") == ["fd02::/48"]
    run("nft", "flush ruleset")
    if drops:
        drop_forwarded()
    allowed.ensure("other", declared(2, overlay=overlay))
    assert members("pools6") == ["fd02::/48"]
    assert len(nft_objects("ruleset")) == len(before)
    node.ok("ADD", one, 2, **wanted)
    run("nft", "flush ruleset")
    node.ok("ADD", one, 2, **wanted)
    assert members("pools6") == ["fd01::/48", "fd02::/48"]
    assert allowed.networks() == ["other"]
    node.ok("DEL", "", 2)
    allowed.remove("other")
    assert left() == []
    assert not [item for item in nft_objects("ruleset") if "cnipy" in str(item)]
    assert not [rule for rule in saved() if "CNI" in rule]


def test_traffic_to_the_pool_keeps_its_source(node: Guarded, host: Host) -> None:
    """With ipMasqExcept of the pools only what leaves for elsewhere is masqueraded."""
    remote = Remote(host, node.outside, overlay=False)
    one, far = node.container(2), remote.container(1)
    owner = Attachment("net", "c2", "eth0")
    subnets = [ip_network("10.1.0.0/24"), ip_network("fd01::/64")]
    masquerade.ensure(owner, subnets, [ip_network(pool) for pool in pools(1)])
    with serving(far, "far"), serving(node.outside, "out"):
        assert ask_from(one, at(1)[0], 80) == "far 10.1.0.2"
        assert ask_from(one, at(1)[1], 80) == "far fd01::2"
        assert ask_from(one, THERE, 80) == f"out {NODE}"
        assert ask_from(one, THERE6, 80) == f"out {NODE6}"
    masquerade.release(owner)
