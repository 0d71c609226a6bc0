# SPDX-License-Identifier: Apache-2.0
"""What is wanted of the kernel, as text; nothing is asked of the kernel here."""

from __future__ import annotations

import base64
import ipaddress
import itertools
from dataclasses import replace
from typing import Any

import pytest
from netns.net import helpers as net

from cni_common.kernel.nexthops import Nexthop, Tunnel
from cni_common.kernel.wireguards import Peer
from cni_common.spec.errors import CNIError
from cnipy.net.dataplane import ground as grounds
from cnipy.net.dataplane import wireguard_peers, words
from cnipy.net.dataplane.desired import NOTHING, Desired, desired
from cnipy.net.dataplane.difference import ADD, DELETE, REPLACE, afterwards, steps
from cnipy.net.dataplane.ground import Ground, Uplink
from cnipy.net.dataplane.present import OnDevice, Present
from cnipy.net.records import BACKENDS, NodeRecord

OWN = net.record(1)
UPLINKS = {
    4: Uplink(OWN.underlay[0], ipaddress.ip_network("192.0.2.0/24"), 2, "eth0", 1500),
    6: Uplink(OWN.underlay[1], ipaddress.ip_network("2001:db8::/64"), 2, "eth0", 1500),
}
GROUND = Ground(7, "cnipy.42", UPLINKS)
KEYS = [base64.b64encode(bytes((n,)) * 32).decode() for n in range(4)]
PEERS = [
    net.record(2, key=KEYS[2], blocks=(*net.blocks(2), *net.blocks(5))),
    net.record(3, key=KEYS[3]),
]
ROUTES = """\
route unreachable 10.64.0.0/10 metric 4294967295
route unreachable fd00:64::/40 metric 4294967295
route 10.64.0.128/26 {0} src 10.64.0.64 of node node-2 metric 2048
route 10.64.1.64/26 {0} src 10.64.0.64 of node node-2 metric 2048
route fd00:64::2:0/112 {1} src fd00:64::1:0 of node node-2 metric 2048
route fd00:64::5:0/112 {1} src fd00:64::1:0 of node node-2 metric 2048
route 10.64.0.192/26 {2} src 10.64.0.64 of node node-3 metric 2048
route fd00:64::3:0/112 {3} src fd00:64::1:0 of node node-3 metric 2048
"""
ADDRESSES = """\
address 10.64.0.64/32 dev cnipy.42
address fd00:64::1:0/128 dev cnipy.42
"""
GOLDEN = {
    "host-gw": ADDRESSES
    + ROUTES.format(
        "via 192.0.2.2", "via 2001:db8::2", "via 192.0.2.3", "via 2001:db8::3"
    ),
    "gpe": ADDRESSES
    + ROUTES.format(
        *["encap id 42 dst 192.0.2.2"] * 2, *["encap id 42 dst 192.0.2.3"] * 2
    ),
    "vxlan": ADDRESSES
    + """\
fdb 02:00:00:00:00:02 dst 192.0.2.2 dev cnipy.42
fdb 02:00:00:00:00:03 dst 192.0.2.3 dev cnipy.42
neighbour 10.64.0.128 lladdr 02:00:00:00:00:02 dev cnipy.42
neighbour fd00:64::2:0 lladdr 02:00:00:00:00:02 dev cnipy.42
neighbour 10.64.0.192 lladdr 02:00:00:00:00:03 dev cnipy.42
neighbour fd00:64::3:0 lladdr 02:00:00:00:00:03 dev cnipy.42
"""
    + ROUTES.format(
        "via 10.64.0.128 onlink",
        "via fd00:64::2:0 onlink",
        "via 10.64.0.192 onlink",
        "via fd00:64::3:0 onlink",
    ),
    "wireguard": ADDRESSES
    + f"""\
peer {KEYS[2]} endpoint 192.0.2.2 port 51820 allowed \
10.64.0.128/26,10.64.1.64/26,fd00:64::2:0/112,fd00:64::5:0/112
peer {KEYS[3]} endpoint 192.0.2.3 port 51820 allowed 10.64.0.192/26,fd00:64::3:0/112
"""
    + ROUTES.format(*["by the device"] * 4),
}


def aim(backend: str, others: list[NodeRecord], **keys: Any) -> Any:
    """Return what is desired of a backend."""
    own, standing = keys.get("own", OWN), keys.get("standing", {})
    return desired(net.config(backend), own, others, GROUND, standing)


def text(wanted: Desired, device: str) -> str:
    """Return all that is desired, a line each."""
    lines = [words.address(each, device) for each in sorted(wanted.addresses, key=str)]
    lines += [words.entry(mac, host, device) for mac, host in wanted.entries.items()]
    lines += [words.neighbour(*each, device) for each in wanted.neighbours.items()]
    lines += [words.peer(each) for each in wanted.peers.values()]
    lines += [
        f"{words.route(dst, each, wanted.nodes.get(dst, ''))} metric {metric}"
        for (dst, metric), each in wanted.routes.items()
    ]
    return "".join(f"{line}\n" for line in [*lines, *wanted.skipped])


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_desired_of_each_backend(backend: str) -> None:
    """Every address, entry, neighbour, peer and route is as it stands here."""
    wanted = aim(backend, PEERS)
    assert text(wanted, "cnipy.42") == GOLDEN[backend]
    assert text(aim(backend, PEERS[::-1]), "cnipy.42") == GOLDEN[backend]


def test_tunnels_take_the_first_family_that_both_have() -> None:
    """A node of IPv6 alone is reached so, and one that has neither by name not."""
    six = net.record(2, versions=(6,))
    (hop, _) = aim("gpe", [six]).nexthops
    addresses = [ipaddress.ip_address(f"2001:db8::{n}") for n in (1, 2)]
    assert hop == Nexthop(4, 7, tunnel=Tunnel(42, *addresses))
    own = replace(OWN, underlay=OWN.underlay[:1])
    skipped = aim("gpe", [six], own=own).skipped
    assert skipped == ["node node-2: it has no underlay address of IPv4"]


@pytest.mark.parametrize("backend", ["gpe", "vxlan", "host-gw", "wireguard"])
def test_who_has_a_block_in_the_kernel_keeps_it(backend: str) -> None:
    """A claim of another changes nothing that works, whatever his name is."""
    thief = net.record(9, node="a-thief", blocks=net.blocks(3), key=KEYS[1])
    standing: dict[Any, object] = {
        block: {"gpe": a, "host-gw": a, "vxlan": PEERS[1].mac}.get(
            backend, bytes((3,)) * 32
        )
        for block, a in zip(PEERS[1].blocks, PEERS[1].underlay, strict=True)
    }
    if backend == "gpe":
        standing = dict.fromkeys(standing, PEERS[1].underlay[0])
    wanted = aim(backend, [thief, *PEERS], standing=standing)
    assert wanted._replace(skipped=[]) == aim(backend, PEERS)
    assert wanted.skipped == [
        f"node a-thief: {block} is of node node-3" for block in thief.blocks
    ]
    # Of two newcomers the first by name has it.
    assert aim(backend, [thief, *PEERS]).nodes[thief.blocks[0]] == "a-thief"


def test_the_mtu_is_what_the_narrowest_uplink_carries() -> None:
    """The underlay's, less what each backend adds, unless the network says less."""
    found = {b: grounds.mtu(net.config(b), GROUND) for b in BACKENDS}
    assert found == {"host-gw": 1500, "vxlan": 1430, "gpe": 1444, "wireguard": 1420}
    four = Ground(7, "cnipy.42", {4: UPLINKS[4]})
    found = {b: grounds.mtu(net.config(b), four) for b in BACKENDS}
    assert found == {"host-gw": 1500, "vxlan": 1450, "gpe": 1464, "wireguard": 1440}
    assert grounds.mtu(net.config("gpe", mtu=1300), four) == 1300
    at_lo = Ground(7, "cnipy.42", {4: UPLINKS[4]._replace(name="lo", mtu=65536)})
    assert grounds.mtu(net.config("gpe", mtu=1300), at_lo) == 1300
    with pytest.raises(CNIError, match="the underlay address is on lo"):
        grounds.mtu(net.config("gpe"), at_lo)


EMPTY = Present(OnDevice(), {}, [], {}, [], set())


@pytest.mark.parametrize("backend", ["gpe", "vxlan", "host-gw"])
def test_nothing_leads_to_what_is_not_there(backend: str) -> None:
    """At each moment of a change every route has its nexthop, and a block that is
    wanted before and after always has a route.
    """
    link: Any = type("Link", (), {"index": 7, "name": "cnipy.42"})
    moved = replace(PEERS[0], underlay=net.record(8).underlay)
    states = [NOTHING, aim(backend, PEERS), aim(backend, [moved]), NOTHING]
    for before, after in itertools.pairwise(states):
        there = afterwards(before, EMPTY)
        todo = steps(after, there, link)
        nexthops = set(there.ids.values())
        for step in todo:
            nexthops |= {step.made} if step.made else set()
            assert not step.needs or step.needs in nexthops
        kept = before.routes.keys() & after.routes.keys()
        deleted = {s.what for s in todo if s.verb == DELETE}
        assert not deleted & {f"route {dst}" for dst, _ in kept}
        verbs = [step.verb for step in todo]
        first = verbs.index(DELETE) if DELETE in verbs else len(verbs)
        assert not set(verbs[first:]) & {ADD, REPLACE}
        assert steps(after, afterwards(after, there), link) == []


def test_a_peer_that_speaks_from_elsewhere_is_left_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While its handshake is good; afterwards it is where its record says."""
    monkeypatch.setattr("time.time", lambda: 1000.0)
    (key, wanted), *_ = aim("wireguard", PEERS[:1]).peers.items()
    roamed = wanted._replace(endpoint=ipaddress.ip_address("192.0.2.200"))
    recent, old = (roamed._replace(handshake=t) for t in (900, 700))
    assert wireguard_peers.missing({key: wanted}, {key: recent}) == []
    assert wireguard_peers.missing({key: wanted}, {key: old}) == [wanted]
    assert wireguard_peers.missing({key: wanted}, {key: roamed}) == [wanted]
    ahead = roamed._replace(handshake=5000)  # the clock was set back
    assert wireguard_peers.missing({key: wanted}, {key: ahead}) == [wanted]
    more = Peer(*wanted._replace(allowed=wanted.allowed | {net.blocks(9)[0]}))
    assert wireguard_peers.surplus({key: wanted}, {key: more}) == [
        f"allowed {net.blocks(9)[0]}"
    ]


def test_block_that_something_here_reaches_is_left_out_unless_it_was_there() -> None:
    """By name, and that alone; where a way led there before, it does so still."""
    bridge = ipaddress.ip_interface("10.64.0.129/25")  # and more than the block in it
    ground = GROUND._replace(wide=(bridge,))
    taken = net.blocks(2)[0]
    config = net.config("gpe")
    wanted = desired(config, OWN, PEERS, ground, {})
    every = {*desired(config, OWN, PEERS, GROUND, {}).nodes}
    inside = {block for block in every if block.overlaps(bridge.network)}
    assert taken in inside
    assert every - {*wanted.nodes} == inside
    assert f"node node-2: {taken} is in {bridge} of this host" in wanted.skipped
    standing = dict.fromkeys(inside, object())
    assert {*desired(config, OWN, PEERS, ground, standing).nodes} == every
