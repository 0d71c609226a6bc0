# SPDX-License-Identifier: Apache-2.0
"""cluster-pool with bridge: containers of several blocks on one node."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_network
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from lab import PATIENCE, Space, ip, run
from netns.bridge.helpers import addresses, conf, held, with_result
from pool_agent import agent

from cni_common.pool import held as blocks_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host

POOL, POOL6 = "10.64.0.0/16", "fd00:64::/48"
IPAM = {"type": "cluster-pool"}
GATEWAYS = ["10.64.0.1/30", "10.64.0.5/30", "fd00:64::1/126", "fd00:64::5/126"]
SIZE = 1 << 20


def apps(**keys: Any) -> dict[str, Any]:
    """Return a bridge with a gateway for each block."""
    return conf(
        **{"name": "apps", "gatewayPerSubnet": True, "isDefaultGateway": True}
        | {"ipam": IPAM}
        | keys
    )


class Pair:
    """Two containers with addresses of different blocks."""

    def __init__(self, cni: Cni, host: Host, **keys: Any) -> None:
        self.conf = apps(**keys)
        self.spaces = [host.space(), host.space()]
        self.results = [
            cni.ok("bridge", "ADD", self.conf, netns=space, container_id=f"c{number}")
            for number, space in enumerate(self.spaces)
        ]

    def address(self, number: int, family: int) -> str:
        """Return the address of a container."""
        told = self.results[number]["ips"][family == 6]["address"]
        return str(told.partition("/")[0])


@pytest.fixture
def growing() -> Iterator[None]:
    """An agent that gives blocks of one container each."""
    with agent("apps", {POOL: 30, POOL6: 126}) as server:
        # An IPv6 block of 126 has two addresses for containers; one is excluded.
        server.claim(4, 0)
        server.claim(6, 0)
        yield


EXCLUDE = [f"fd00:64::{n:x}" for n in range(3, 64, 4)]


def exchange(
    one: Space,
    other: Space,
    address: str,
    family: int,
    at: tuple[str, int] | None = None,
) -> int:
    """Return how many bytes come back of SIZE that `one` sends to `other` by TCP.

    `other` listens at `address`, which is called unless another one is told by `at`.
    """
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with other.entered():
        listener = socket.create_server((address, 80), family=kind)
    with one.entered():
        caller = socket.socket(kind)
    with listener, caller:
        listener.settimeout(5 * PATIENCE)
        caller.settimeout(5 * PATIENCE)
        caller.connect(at or (address, 80))
        connection, _ = listener.accept()
        connection.settimeout(5 * PATIENCE)
        with connection, ThreadPoolExecutor(2) as pool:
            pool.submit(echo, connection)
            sent = pool.submit(caller.sendall, bytes(SIZE))
            received = 0
            with suppress(TimeoutError):
                while received < SIZE and (part := caller.recv(1 << 16)):
                    received += len(part)
            caller.shutdown(socket.SHUT_RDWR)
            sent.result()
    return received


def converse(
    one: Space, other: Space, address: str, family: int, *, seconds: float
) -> None:
    """Have both send to each other for a time, by one connection."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with other.entered():
        listener = socket.create_server((address, 81), family=kind)
    with one.entered():
        caller = socket.socket(kind)
    with listener, caller:
        caller.connect((address, 81))
        connection, _ = listener.accept()
        until = time.monotonic() + seconds
        with connection:
            while time.monotonic() < until:
                for each in (caller, connection):
                    each.sendall(b"x")
                    time.sleep(0.02)


def echo(connection: socket.socket) -> None:
    """Send back what comes."""
    with suppress(OSError):
        while part := connection.recv(1 << 16):
            connection.sendall(part)


@pytest.mark.usefixtures("growing")
def test_containers_of_two_blocks_reach_each_other(cni: Cni, host: Host) -> None:
    """By ping and TCP, both ways and both families."""
    pair = Pair(cni, host, ipam={**IPAM, "exclude": EXCLUDE})
    assert sorted(addresses("br0")) == sorted(GATEWAYS)
    assert held(pair.spaces[1]) == ["10.64.0.6/30", "fd00:64::6/126"]
    for family, number in product((4, 6), (0, 1)):
        one, other = pair.spaces[number], pair.spaces[1 - number]
        address = pair.address(1 - number, family)
        assert one.reaches(address)
        assert exchange(one, other, address, family) == SIZE
        for _ in range(8):  # until the host would have been heard, were it listened to
            assert one.reaches(address)
            time.sleep(0.05)
        assert not is_redirected(one, address)


@pytest.mark.usefixtures("growing")
@pytest.mark.parametrize("family", [4, 6])
def test_a_neighbour_is_reached_by_its_published_port(
    cni: Cni, host: Host, family: int
) -> None:
    """What comes back passes the host, which has to put its own address into it.

    So no container may take the host's word that they are on one link; nor may some
    packets of a connection pass a firewall, and others not.
    """
    host.outside()
    pair = Pair(cni, host, ipam={**IPAM, "exclude": EXCLUDE})
    mapping = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
    published = {
        "cniVersion": "1.1.0",
        "name": "apps",
        "type": "portmap",
        "runtimeConfig": {"portMappings": [mapping]},
        "prevResult": pair.results[1],
    }
    one, other = pair.spaces
    cni.ok("portmap", "ADD", published, netns=other, container_id="c1")
    address = pair.address(1, family)
    # Of a connection that is not translated netfilter lets the host's word pass.
    converse(one, other, address, family, seconds=1.5)
    at = ({4: "198.51.100.1", 6: "2001:db8:99::1"}[family], 8080)
    for _ in range(3):
        assert exchange(one, other, address, family, at) == SIZE
    assert not is_redirected(one, address)
    assert not is_redirected(other, pair.address(0, family))


def is_redirected(space: Space, address: str) -> bool:
    """Tell whether a container sends to a neighbour by the neighbour itself."""
    (found,) = space.ip("route", "get", address)
    hop = found.get("via", {}).get("host", found.get("gateway"))
    return hop in {None, address}


@pytest.mark.usefixtures("growing")
def test_the_pool_is_behind_the_gateway_of_the_containers_own_block(
    cni: Cni, host: Host
) -> None:
    """Each container has a route to all of the pool, and CHECK and DEL pass."""
    pair = Pair(cni, host, isDefaultGateway=None)
    for number, space in enumerate(pair.spaces):
        (route,) = space.ip("route", "show", POOL)
        assert route["gateway"] == ["10.64.0.1", "10.64.0.5"][number]
        (route6,) = space.ip("-6", "route", "show", POOL6)
        assert route6["gateway"] == "fd00:64::1"
        arguments = {"netns": space, "container_id": f"c{number}"}
        sent = with_result(pair.conf, pair.results[number])
        cni.ok("bridge", "CHECK", sent, **arguments)
        cni.ok("bridge", "DEL", sent, **arguments)
    assert "10.64.0.1/30" in addresses("br0")


@pytest.mark.usefixtures("growing")
def test_a_gateway_that_was_removed_is_found_and_put_back(cni: Cni, host: Host) -> None:
    """CHECK of whom it serves tells, of the other passes; the next ADD has both."""
    pair = Pair(cni, host)
    run("ip", "addr", "del", "10.64.0.1/30", "dev", "br0")
    sent = [with_result(pair.conf, result) for result in pair.results]
    words = [{"netns": s, "container_id": f"c{n}"} for n, s in enumerate(pair.spaces)]
    error = cni.refused("bridge", "CHECK", sent[0], **words[0])
    assert error["msg"] == "check gateway br0: it lacks 10.64.0.1/30"
    cni.ok("bridge", "CHECK", sent[1], **words[1])
    again = cni.ok("bridge", "ADD", pair.conf, **words[0])
    assert again["ips"] == pair.results[0]["ips"]
    assert {"10.64.0.1/30", "10.64.0.5/30"} <= set(addresses("br0"))
    assert pair.spaces[0].reaches(pair.address(1, 4))


@pytest.mark.usefixtures("growing")
def test_without_the_key_the_second_gateway_is_refused(cni: Cni, host: Host) -> None:
    """As the reference does; nothing is left of the second container."""
    wanted = apps(gatewayPerSubnet=None)
    cni.ok("bridge", "ADD", wanted, netns=host.space())
    before = ip("link", "show")
    error = cni.refused("bridge", "ADD", wanted, netns=host.space(), container_id="c2")
    assert "already has an IP address different from 10.64.0.5/30" in error["msg"]
    assert len(ip("link", "show")) == len(before)
    assert [a for a in addresses("br0") if "." in a] == ["10.64.0.1/30"]


def test_an_add_that_fails_takes_its_gateway_back(cni: Cni, host: Host) -> None:
    """The gateway of the living container's block stays, the other one goes."""
    hold = blocks_file.Held((ip_network(POOL),), (ip_network("10.64.3.0/29"),))
    blocks_file.write("apps", hold)
    cni.ok("bridge", "ADD", apps(), netns=host.space())
    second = blocks_file.Held(hold.pools, (ip_network("10.64.4.0/29"),), ())
    blocks_file.write("apps", second)
    route = {"dst": "192.0.2.0/24", "gw": "198.51.100.1"}  # which the kernel refuses
    wrong = apps(ipam={**IPAM, "routes": [route]})
    cni.refused("bridge", "ADD", wrong, netns=host.space(), container_id="c2")
    assert addresses("br0") == ["10.64.3.1/29"]


def test_isolated_ports_are_not_joined_by_the_host(cni: Cni, host: Host) -> None:
    """The host would lead round the isolation, so both keys at once are refused."""
    wanted = apps(portIsolation=True)
    error = cni.refused("bridge", "ADD", wanted, netns=host.space())
    assert (error["code"], "gatewayPerSubnet" in error["msg"]) == (7, True)
    assert json.loads(run("ip", "-j", "link", "show", "type", "bridge") or "[]") == []


@pytest.mark.usefixtures("growing")
@pytest.mark.parametrize("policy", ["open", "same-bridge", "isolated"])
def test_neighbours_of_another_block_are_neighbours_to_the_firewall(
    cni: Cni, host: Host, policy: str
) -> None:
    """They are of the same bridge; one that keeps these apart does so by any way."""
    pair = Pair(cni, host, ipMasq=True, ipMasqExcept=[POOL, POOL6])
    for number, space in enumerate(pair.spaces):
        firewall = {
            "cniVersion": "1.1.0",
            "name": "apps",
            "type": "firewall",
            "ingressPolicy": policy,
            "prevResult": pair.results[number],
        }
        cni.ok("firewall", "ADD", firewall, netns=space, container_id=f"c{number}")
    one, other = pair.spaces
    for family in (4, 6):
        if policy == "isolated":
            assert not one.reaches(pair.address(1, family))
        else:
            assert exchange(one, other, pair.address(1, family), family) == SIZE
            assert exchange(other, one, pair.address(0, family), family) == SIZE
