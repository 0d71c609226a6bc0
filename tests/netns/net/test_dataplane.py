# SPDX-License-Identifier: Apache-2.0
"""Backends between nodes: what arrives, and what the kernel has afterwards."""

from __future__ import annotations

import ipaddress
import json
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import kernel_features
import pytest
from lab import run
from netns.net import helpers as net
from netns.net.helpers import Datagrams, Node, connects

from cni_common.kernel import netlink
from cni_common.spec.errors import CNIError
from cnipy.net.dataplane.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab import Host

    from cnipy.net.records import NetworkConfig, NodeRecord

HAS_WIREGUARD = pytest.mark.needs_kernel("wireguard")
THOROUGH = pytest.mark.thorough
BACKENDS = [
    "host-gw",
    "vxlan",
    "gpe",
    pytest.param("wireguard", marks=HAS_WIREGUARD),
]
# Where a few of them say enough on a kernel that is ten times slower.
MOST_BACKENDS = [
    *BACKENDS[:3],
    pytest.param("wireguard", marks=(HAS_WIREGUARD, THOROUGH)),
]
# What a backend puts around a packet, by the underlay's version of IP.
AROUND = {
    "host-gw": {4: 0, 6: 0},
    "vxlan": {4: 50, 6: 70},
    "gpe": {4: 36, 6: 56},
    "wireguard": {4: 60, 6: 80},
}
TUNNELS = [
    pytest.param("vxlan", 6),
    pytest.param("gpe", 6),
    pytest.param("wireguard", 6, marks=HAS_WIREGUARD),
]

DAMAGES = (
    "ip route del 10.64.0.128/26 metric 2048",
    "ip -6 route del fd00:64::3:0/112 metric 2048",
    "ip route del unreachable 10.64.0.0/10 metric 4294967295",
    "ip route replace 10.64.0.128/26 dev lo metric 2048 proto 78",
    "ip nexthop flush",
    "ip addr flush dev cnipy.42",
    "ip link set cnipy.42 mtu 1300",
    "ip link set cnipy.42 down",
    "ip link del cnipy.42",
    "ip link set cnipy.42 down; ip link set cnipy.42 name cnipy-away",
    "sysctl -qw net.ipv4.ip_forward=0",
    (
        "ip nexthop add id 1308623000 dev lo proto 78; "
        "ip route add 10.64.200.0/26 nhid 1308623000 proto 78 metric 2048"
    ),
    "ip route add unreachable 10.64.201.0/26 proto 78",
    "ip route add 10.64.202.0/26 dev lo proto 78",
    "ip -6 route add fd00:64::9:0/112 dev lo proto 78",
)
DAMAGES_OF = {
    "host-gw": (
        (
            "ip link set eth0 down; ip link set eth0 up; "
            "ip addr replace 2001:db8::1/64 dev eth0 nodad"
        ),
    ),
    "vxlan": (
        "ip neigh flush dev cnipy.42 nud permanent",
        "bridge fdb del 02:00:00:00:00:02 dev cnipy.42 self",
        "bridge fdb replace 02:00:00:00:00:02 dst 192.0.2.66 dev cnipy.42 self",
        "bridge fdb add 02:00:00:00:00:66 dst 192.0.2.66 dev cnipy.42 self",
        "ip link set cnipy.42 address 02:00:00:00:00:77",
    ),
    "wireguard": (
        "wg set cnipy.42 peer $(wg show cnipy.42 peers | head -n 1) remove",
        (
            "wg set cnipy.42 peer $(wg show cnipy.42 peers | head -n 1) "
            "allowed-ips 10.64.200.0/26"
        ),
        (
            "wg set cnipy.42 peer $(wg show cnipy.42 peers | head -n 1) "
            "endpoint 192.0.2.66:9"
        ),
        "wg set cnipy.42 listen-port 1234",
        "wg set cnipy.42 peer $(wg genkey) allowed-ips 10.64.200.0/26",
    ),
}


LOOK = """\
ip -j link show; echo
ip -j -d nexthop show; echo
ip -j -4 route show proto 78; echo
ip -j -6 route show proto 78; echo
for link in /proc/sys/net/ipv4/conf/cnipy.*; do
    bridge -j fdb show dev "${link##*/}"; echo
    ip -j neigh show dev "${link##*/}" nud permanent; echo
    wg show "${link##*/}" endpoints
    wg show "${link##*/}" allowed-ips
done 2>/dev/null
true
"""


def kernel(node: Node) -> dict[str, Any]:
    """Return all that a node's kernel has of networks, as the system's tools say it.

    Without what it has from the start, and without numbers.
    """
    lines = [line for line in node.space.run("sh", "-c", LOOK).splitlines() if line]
    links, nexthops, *routes = map(read, lines[:4])
    hops = {hop["id"]: leads(hop) for hop in nexthops}
    return {
        "links": [each["ifname"] for each in links if "cnipy" in each["ifname"]],
        "nexthops": sorted(hops.values()),
        "routes": sorted(
            (route["dst"], hops.get(route.get("nhid"), route.get("type")))
            for family in routes
            for route in family
        ),
        "entries": sorted(
            str(each)
            for line in lines[4:]
            if line.startswith("[")
            for each in json.loads(line)
            if "dst" in each
        ),
        "peers": sorted(
            sorted(line.split()) for line in lines[4:] if not line.startswith("[")
        ),
    }


def read(line: str) -> Any:
    """Return a line of JSON, of `dst` and the `dst` of a tunnel the first."""
    return json.loads(line, object_pairs_hook=lambda pairs: dict(pairs[::-1]))


def leads(hop: dict[str, Any]) -> str:
    """Return where a nexthop leads."""
    kept = {k: v for k, v in hop.items() if k in {"gateway", "dev", "encap", "dst"}}
    return str(sorted((key, str(value)) for key, value in kept.items()))


def others(every: list[Node], node: Node) -> list[NodeRecord]:
    """Return the records of all but one."""
    return [each.record for each in every if each is not node]


def check_traffic(every: list[Node], mtu: int) -> None:
    """Whoever is on two nodes reaches each other, with packets as long as may be."""
    one, two = every[:2]
    for version in (4, 6):
        there = two.address(version)
        came = connects(one.container, two.container, there)
        assert came == one.address(version)
        # The node itself is known by its own address of the network.
        assert connects(one.space, two.container, there) == one.address(version, 0)
        assert one.space.reaches(two.address(version, 0))
        with Datagrams(one.container, two.container, there) as datagrams:
            assert datagrams.passes(mtu)
            with pytest.raises(OSError, match="Message too long"):
                datagrams.passes(mtu + 1)
    for node in every:
        assert node.counted("FragCreates") == node.counted("ReasmReqds") == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_containers_of_two_nodes_reach_each_other(
    host: Host, tmp_path: Path, backend: str
) -> None:
    """By both families, with a strict rp_filter, unfragmented at full length."""
    every = net.nodes(host, tmp_path, versions=(4, 6) if backend == "host-gw" else (4,))
    mtu = net.join(net.config(backend), every)
    assert mtu == 1500 - AROUND[backend][4]
    check_traffic(every, mtu)


@pytest.mark.parametrize(("backend", "version"), TUNNELS)
def test_the_underlay_may_be_of_ipv6(
    host: Host, tmp_path: Path, backend: str, version: int
) -> None:
    """The same holds where nodes have no IPv4 between them."""
    every = net.nodes(host, tmp_path, versions=(version,), mtu=1600)
    mtu = net.join(net.config(backend), every)
    assert mtu == 1600 - AROUND[backend][version]
    check_traffic(every, mtu)


@pytest.mark.parametrize("backend", BACKENDS[:3])
def test_first_address_may_be_one_for_broadcasts(
    host: Host, tmp_path: Path, backend: str
) -> None:
    """As it is to a kernel before 5.14, where the bridge had its gateway first."""
    every = net.nodes(host, tmp_path)
    for node in every:
        first = node.address(4, 0)
        route = f"broadcast {first} dev lo table local proto kernel scope link"
        node.space.run("ip", "route", "add", *route.split())
    mtu = net.join(net.config(backend), every)
    check_traffic(every, mtu)
    for node in every:
        assert node.apply(net.config(backend), others(every, node)) == []
        node.remove(net.config(backend))
        left = node.space.ip("route", "show", "table", "all", node.address(4, 0))
        assert {each["type"] for each in left} == {"broadcast"}


@pytest.mark.parametrize("backend", MOST_BACKENDS)
def test_what_is_applied_is_the_difference(
    host: Host, tmp_path: Path, backend: str
) -> None:
    """A node more and less leaves what it left before; removed, nothing is left."""
    (node,) = net.nodes(host, tmp_path, 1)
    before = kernel(node)
    config = net.config(backend)
    node.prepare(config)
    known = [peer(number, backend) for number in range(2, 12)]
    node.apply(config, known)
    full = kernel(node)
    assert len(full["routes"]) == 2 * len(known) + 2
    assert node.apply(config, known) == []
    node.apply(config, [*known, peer(12, backend)])
    assert len(kernel(node)["routes"]) == len(full["routes"]) + 2
    node.apply(config, known)
    assert kernel(node) == full
    if backend == "wireguard":
        shown = node.space.run("wg", "show", "cnipy.42", "allowed-ips").splitlines()
        assert len(shown) == len(known)
    node.remove(config)
    node.remove(config)
    assert kernel(node) == before


def peer(number: int, backend: str = "gpe", **keys: Any) -> NodeRecord:
    """Return the record of a node that is not there."""
    import base64  # noqa: PLC0415 - here alone

    key = base64.b64encode(bytes((number,)) * 32).decode()
    return net.record(number, key=key if backend == "wireguard" else "", **keys)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_others_take_away_comes_back(
    host: Host, tmp_path: Path, backend: str
) -> None:
    """Routes, nexthops, neighbours, entries, addresses or the device: all is found,
    told, and made again.
    """
    (node,) = net.nodes(host, tmp_path, 1)
    config = net.config(backend)
    node.prepare(config)
    known = [peer(number, backend) for number in range(2, 5)]
    node.apply(config, known)
    full = kernel(node)
    with node.entered():
        watch = Watch()
    with watch:
        assert is_disturbed(watch, node, config)
        for damage in DAMAGES + DAMAGES_OF.get(backend, ()):
            assert not is_disturbed(watch, node, config)
            node.space.run("sh", "-c", damage)
            is_told = any(word in damage for word in ("del", "flush", "link set"))
            assert is_disturbed(watch, node, config) or not is_told, damage
            if not is_told:
                watch.there = None
            assert node.apply(config, known, watch), damage
            assert kernel(node) == full, damage
            assert node.apply(config, known) == [], damage
            is_disturbed(watch, node, config)  # of what was made again


@pytest.mark.parametrize("backend", MOST_BACKENDS)
def test_what_is_known_to_be_there_is_believed_until_the_kernel_refuses(
    host: Host, tmp_path: Path, backend: str
) -> None:
    """What a watch knows is not read again, and costs nobody a route if it is wrong."""
    (node,) = net.nodes(host, tmp_path, 1)
    config = net.config(backend)
    node.prepare(config)
    known = [peer(number, backend) for number in range(2, 5)]
    with node.entered():
        watch = Watch()
    with watch:
        is_disturbed(watch, node, config)
        node.apply(config, known, watch)
        is_disturbed(watch, node, config)  # of the device that was made
        node.apply(config, known, watch)
        assert not is_disturbed(watch, node, config)
        # Nobody is told of what is added: the number of the next nexthop.
        hops = node.space.run("ip", "-o", "nexthop", "show").split("id ")[1:]
        taken = str(max(int(each.split()[0]) for each in hops) + 1)
        node.space.run("ip", "nexthop", "add", "id", taken, "blackhole")
        more = [*known, peer(5, backend)]
        node.apply(config, more, watch)
        assert watch.there
    assert node.apply(config, more) == []
    routes = [
        node.space.run("ip", version, "route", "show", "proto", "78")
        for version in ("-4", "-6")
    ]
    assert sum(each.count(f"nhid {taken}") for each in routes) == 0
    assert sum(each.count("nhid") for each in routes) == 2 * len(more)
    assert "blackhole" in node.space.run("ip", "nexthop", "show", "id", taken)


def is_disturbed(watch: Watch, node: Node, config: NetworkConfig) -> bool:
    """Tell whether something was heard on the node since the last call."""
    with node.entered():
        return watch.is_disturbed(config, node.record)


@pytest.mark.parametrize("backend", MOST_BACKENDS)
def test_hostile_records_are_skipped_by_name(
    host: Host, tmp_path: Path, backend: str
) -> None:
    """Who claims what is another's gets nothing of it, and does no harm to him."""
    (node,) = net.nodes(host, tmp_path, 1)
    config = net.config(backend)
    node.prepare(config)
    good = [peer(2, backend), peer(3, backend)]
    node.space.run("ip", "addr", "add", "192.0.2.77/32", "dev", "lo")
    node.apply(config, good)
    full = kernel(node)
    far = ipaddress.ip_network("8.8.8.0/26")
    broadcast = ipaddress.ip_address("192.0.2.255")
    local = (ipaddress.ip_address("192.0.2.77"), ipaddress.ip_address("2001:db8::77"))
    hostile = [
        peer(20, backend, node="a-block", blocks=net.blocks(2)),
        peer(21, backend, node="a-ours", blocks=node.record.blocks),
        peer(22, backend, node="a-address", underlay=good[1].underlay),
        peer(24, backend, node="node-1"),
        peer(25, backend, node="a-self", underlay=node.record.underlay),
        peer(26, backend, node="a-far", blocks=(far,)),
        peer(28, backend, node="a-local", underlay=local),
        peer(29, backend, node="a-all", underlay=(broadcast, local[1])),
    ]
    if backend == "vxlan":
        hostile += [
            peer(23, backend, node="a-mac", mac=good[0].mac),
            peer(27, backend, node="a-mute", mac=""),
        ]
    if backend == "wireguard":
        hostile += [
            replace(peer(23, backend, node="a-key"), key=good[0].key),
            replace(peer(27, backend, node="a-mute"), key=""),
        ]
    said = node.apply(config, [*hostile, *good])
    for each in hostile:
        about = [line for line in said if f"skipped: node {each.node}:" in line]
        assert about, (each.node, said)
    assert kernel(node) == full


@HAS_WIREGUARD
def test_a_node_may_have_thousands_of_blocks(host: Host, tmp_path: Path) -> None:
    """More than a message to the kernel can say of one peer, and fewer again."""
    (node,) = net.nodes(host, tmp_path, 1)
    config = net.config("wireguard")
    node.prepare(config)
    every = tuple(block for n in range(2, 2002) for block in net.blocks(n))
    for blocks in (every, every[:10]):
        said = node.apply(config, [peer(2, "wireguard", blocks=blocks)])
        assert not [line for line in said if line.startswith(("skipped", "refused"))]
        shown = node.space.run("wg", "show", "cnipy.42", "allowed-ips")
        assert {*shown.split()[1:]} == {*map(str, blocks)}
        assert len(kernel(node)["routes"]) == len(blocks) + 2
        assert node.apply(config, [peer(2, "wireguard", blocks=blocks)]) == []


def test_by_host_gw_a_node_beyond_a_router_is_skipped(
    host: Host, tmp_path: Path
) -> None:
    """What is not on the node's own network is named, with the way out."""
    (node,) = net.nodes(host, tmp_path, 1)
    config = net.config("host-gw")
    node.prepare(config)
    far = ipaddress.ip_address("203.0.113.7"), ipaddress.ip_address("2001:db8:7::7")
    said = node.apply(config, [net.record(2), net.record(3, underlay=far)])
    assert [line for line in said if "skipped: node node-3: 203.0.113.7 is not" in line]
    assert len(kernel(node)["routes"]) == 4


@pytest.mark.parametrize(
    "backend",
    [
        "gpe",
        "vxlan",
        pytest.param("wireguard", marks=(HAS_WIREGUARD, THOROUGH)),
    ],
)
def test_killed_at_any_request_it_is_completed_by_the_next(
    host: Host, tmp_path: Path, backend: str
) -> None:
    """Wherever the process ends, what it left is taken over, and nothing is double."""
    (node,) = net.nodes(host, tmp_path, 1)
    config = net.config(backend)
    known = [peer(number, backend) for number in range(2, 40)]
    node.apply(config, known)
    full = kernel(node)
    at = 0
    alive = True
    while alive:
        at += 2
        node.remove(config)
        alive = killed(lambda: node.apply(config, known), at)
        node.apply(config, known)
        # From many to one and back: a killed change leaves routes of both.
        alive |= killed(lambda: node.apply(config, known[:1]), at)
        node.apply(config, known)
        assert kernel(node) == full, at
    assert at > 15


def killed(act: Callable[[], Any], at: int) -> bool:
    """Tell whether a process of its own, that does `act`, was killed before it sent its
    datagram number `at` to the kernel.
    """
    child = os.fork()
    if child == 0:
        send, left = netlink._send, [at]

        def counted(*arguments: Any) -> None:
            if left[0] == 0:
                os.kill(os.getpid(), 9)
            left[0] -= 1
            send(*arguments)

        netlink._send = counted
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9


@pytest.mark.parametrize(
    ("backend", "further"),
    [
        ("host-gw", 0),
        ("vxlan", 0),
        pytest.param("gpe", 0, marks=pytest.mark.needs_kernel("vnifilter")),
        ("gpe", 1),
        pytest.param("wireguard", 1, marks=(HAS_WIREGUARD, THOROUGH)),
    ],
)
def test_two_networks_are_apart(
    host: Host, tmp_path: Path, backend: str, further: int
) -> None:
    """Each has its device, its routes and its port or identifier, which is so much
    further; without the one the other is as it was.
    """
    every = net.nodes(host, tmp_path)
    pools = tuple(
        replace(pool, network=ipaddress.ip_network(other))
        for pool, other in zip(
            net.POOLS.values(), ("172.20.0.0/14", "fd00:99::/40"), strict=True
        )
    )
    first = net.config(backend)
    port = first.port + further
    second = replace(first, name="jobs", pools=pools, vni=43, port=port)
    apps = [Node(n.space, n.record, n.container, n.keys) for n in every]
    mtu = net.join(first, apps)
    alone = kernel(apps[0])
    jobs = [
        Node(
            n.space,
            replace(n.record, blocks=net.blocks(number, pools), mac=""),
            host.space(),
            n.keys,
        )
        for number, n in enumerate(every, 1)
    ]
    for node in jobs:
        node.prepare(second)
        node.attach(mtu, 1)
    net.known(second, jobs)
    check_traffic(apps, mtu)
    check_traffic(jobs, mtu)
    assert apps[0].apply(first, others(apps, apps[0])) == []
    for node in jobs:
        node.remove(second)
    assert kernel(apps[0]) == alone
    there = apps[1].address(4)
    assert connects(apps[0].container, apps[1].container, there)


@pytest.mark.parametrize("backend", BACKENDS)
def test_traffic_loses_nothing_while_peers_change(
    host: Host, tmp_path: Path, backend: str
) -> None:
    """While others come, go and swap blocks, and the two get further blocks and another
    address, each of their packets arrives.
    """
    every = net.nodes(host, tmp_path)
    moved = tuple(map(ipaddress.ip_address, ("192.0.2.202", "2001:db8::202")))
    net.batch(
        every[1].space,
        [
            f"addr add {address}/{length} dev eth0 {net.no_dad(address)}"
            for address, length in zip(moved, (24, 64), strict=True)
        ],
    )
    config = net.config(backend)
    net.join(config, every)
    one, two = every
    stop = threading.Event()
    with Datagrams(one.container, two.container, two.address(4)) as datagrams:
        sent = 0
        datagrams.receiver.setsockopt(1, 33, 1 << 24)  # SO_RCVBUFFORCE

        def flood() -> None:
            nonlocal sent
            while not stop.is_set():
                datagrams.sender.send(b"x")
                sent += 1
                time.sleep(0.0005)

        sending = threading.Thread(target=flood)
        sending.start()
        further = (*two.record.blocks, *net.blocks(100))
        for number in range(3, 13):
            mine = replace(two.record, blocks=further if number % 2 else further[:2])
            mine = replace(mine, underlay=moved) if number % 3 == 0 else mine
            lots = [
                peer(n, backend, blocks=net.blocks(n + number))
                for n in range(number, number + 20)
            ]
            said = one.apply(config, [mine, *lots])
            assert not [line for line in said if line.startswith("refused")]
            two.apply(config, [one.record, *lots])
        stop.set()
        sending.join()
        arrived = 0
        datagrams.receiver.settimeout(0.2)
        while arrived < sent:
            datagrams.receiver.recv(16)
            arrived += 1
    assert arrived == sent > 50


@pytest.mark.parametrize("backend", BACKENDS[:3])
def test_a_node_without_ipv6_has_what_is_of_ipv4(
    host: Host, tmp_path: Path, backend: str
) -> None:
    """Where the administrator has switched it off, a network of IPv4 works."""
    (node,) = net.nodes(host, tmp_path, 1, versions=(4,))
    node.space.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    pools = (net.POOLS[4],)
    config = net.config(backend, pools=pools)
    node.record = replace(node.record, blocks=net.blocks(1, pools))
    known = [net.record(2, (4,), blocks=net.blocks(2, pools))]
    node.prepare(config)
    said = node.apply(config, known)
    assert not [line for line in said if line.startswith(("skipped", "refused"))]
    assert node.apply(config, known) == []
    assert [dst for dst, _ in kernel(node)["routes"]] == [
        "10.64.0.0/10",
        "10.64.0.128/26",
    ]
    node.remove(config)


def test_routes_of_others_are_left_alone(host: Host, tmp_path: Path) -> None:
    """Where somebody has such a route it is said, and stays to the last byte."""
    (node,) = net.nodes(host, tmp_path, 1)
    config = net.config("gpe")
    node.prepare(config)
    theirs = [
        "10.64.0.128/26 via 192.0.2.99 metric 2048",  # node 2's, with our metric
        "10.64.0.192/26 via 192.0.2.99",  # node 3's, before ours
        "10.64.7.0/24 via 192.0.2.99 proto bird",
        "unreachable 10.64.0.0/10 metric 9",
    ]
    for route in theirs:
        node.space.run("ip", "route", "add", *route.split())
    net.batch(node.space, ["nexthop add id 1308622848 via 192.0.2.99 dev eth0"])
    node.space.run("ip", "-6", "route", "add", str(net.blocks(2)[1]), "dev", "lo")

    def foreign() -> str:
        shown = node.space.run("ip", "route", "show").splitlines()
        shown += node.space.run("ip", "-6", "route", "show").splitlines()
        return "\n".join(line for line in shown if "cnipy" not in line)

    before = foreign()
    known = [net.record(2), net.record(3), net.record(4)]
    for said in (node.apply(config, known), node.apply(config, known)):
        refused = [line for line in said if line.startswith("refused: ")]
        assert len(refused) == 1
        assert "10.64.0.128/26" in refused[0]
        assert "somebody else has a route to it" in refused[0]
    said = node.apply(config, known, thorough=True)
    first = [line.split()[1] for line in said if line.startswith("outrun")]
    assert first == ["10.64.0.128/26", str(net.blocks(2)[1]), "10.64.0.192/26"]
    node.remove(config)
    left = [line for line in before.splitlines() if "4294967295" not in line]
    assert foreign().splitlines() == left
    assert len(node.space.ip("nexthop", "show")) == 1


@pytest.mark.parametrize(
    ("backend", "mtu", "spoil", "cause"),
    [
        ("gpe", 1480, "", "use MTU 1480 of network apps: eth0 carries 1444"),
        ("gpe", 0, "ip link set eth0 mtu 1300", "its pools need 1280"),
        ("vxlan", 0, "ip addr flush dev eth0", "no link of this node has it"),
        (
            "gpe",
            0,
            "ip link add cnipy.42 type bridge",
            "use link cnipy.42: it is none of network apps",
        ),
        (
            "vxlan",
            0,
            "ip link add old type vxlan id 42 local 192.0.2.1 dstport 4789",
            "a link has VXLAN 42 on port 4789",
        ),
        (
            "gpe",
            0,
            "ip link add old up type vxlan external gpe dstport 4790",
            "of port 4790",
        ),
    ],
)
def test_what_cannot_be_is_refused(  # noqa: PLR0917 - fixtures and parameters
    host: Host, tmp_path: Path, backend: str, mtu: int, spoil: str, cause: str
) -> None:
    """One error with its cause, and nothing is made."""
    (node,) = net.nodes(host, tmp_path, 1)
    if spoil:
        node.space.run(*spoil.split())
    before = node.space.run("ip", "-br", "link")
    with pytest.raises(CNIError) as caught:
        node.prepare(net.config(backend, mtu=mtu))
    assert cause in str(caught.value)
    assert node.space.run("ip", "-br", "link") == before


@pytest.mark.skipif(kernel_features.has("wireguard"), reason="this kernel has it")
def test_what_the_kernel_lacks_is_named(host: Host, tmp_path: Path) -> None:
    """The error says which kind of device, and the ways out; nothing is made."""
    (node,) = net.nodes(host, tmp_path, 1)
    before = node.space.run("ip", "-br", "link")
    with pytest.raises(CNIError) as caught:
        node.prepare(net.config("wireguard"))
    assert str(caught.value) == (
        "add link cnipy.42: this kernel has no wireguard: "
        "install that module, or take a network of another backend"
    )
    assert node.space.run("ip", "-br", "link") == before


def test_a_device_of_other_settings_is_made_anew(host: Host, tmp_path: Path) -> None:
    """Where port or underlay address changed, the device is what it should be now."""
    (node,) = net.nodes(host, tmp_path, 1)
    node.prepare(net.config("vxlan"))
    node.prepare(net.config("vxlan", port=8472))
    run("ip", "-n", node.space.name, "addr", "add", "192.0.2.77/24", "dev", "eth0")
    node.record = replace(node.record, underlay=(ipaddress.ip_address("192.0.2.77"),))
    node.prepare(net.config("vxlan", port=8472))
    (shown,) = node.space.ip("link", "show", "cnipy.42")
    data = shown["linkinfo"]["info_data"]
    assert (data["port"], data["local"], data["learning"]) == (
        8472,
        "192.0.2.77",
        False,
    )
    assert shown["ifalias"] == "cnipy network apps"
