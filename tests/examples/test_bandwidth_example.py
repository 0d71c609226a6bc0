# SPDX-License-Identifier: Apache-2.0
"""87: each container has its limits, and its neighbours are no part of them."""

from lab import PATIENCE

from tests.examples.lab import Lab
from tests.runtimes import web
from tests.runtimes.sandbox.machine import wait_for

NAME = "87-bandwidth.conflist"
PORT = 8000
# Sends a mebibyte to whoever connects, or receives one, and prints the seconds.
SERVE = """
import socket, sys
at = ("::", int(sys.argv[1]))
with socket.create_server(at, family=socket.AF_INET6, dualstack_ipv6=True) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            if connection.recv(1) == b"s":
                connection.sendall(bytes(1 << 20))
            else:
                left = 1 << 20
                while left:
                    left -= len(connection.recv(min(left, 1 << 16)))
                connection.sendall(b"!")
"""
ASK = """
import socket, sys, time
there, limit = (sys.argv[1], int(sys.argv[2])), float(sys.argv[4])
with socket.create_connection(there, limit) as server:
    started = time.monotonic()
    server.sendall(sys.argv[3].encode())
    if sys.argv[3] == "s":
        left = 1 << 20
        while left:
            left -= len(server.recv(min(left, 1 << 16)))
    else:
        server.sendall(bytes(1 << 20))
        server.recv(1)
    print(time.monotonic() - started)
"""
# A mebibyte less the burst, at 16 and at 8 Mbit/s: no busy machine makes it shorter.
RECEIVING = ((1 << 20) - 100_000) / 2e6 - 0.05
SENDING = ((1 << 20) - 100_000) / 1e6 - 0.05


def serve(lab: Lab, netns: str) -> None:
    """The namespace sends and receives mebibytes."""
    words = (*web.PYTHON, SERVE, str(PORT))
    lab.sandbox.start(f"mebibytes-{netns}", *words, netns=netns)
    listening = ("ss", "-Hlnt", "sport", "=", f":{PORT}")
    wait_for(lambda: bool(lab.sandbox.run(*listening, netns=netns).stdout), netns)


def seconds(lab: Lab, netns: str, host: str, what: str) -> float:
    """Return how long `netns` takes to get ("s") or to give ("r") a mebibyte."""
    words = (*web.PYTHON, ASK, host, str(PORT), what, str(20 * PATIENCE))
    return float(lab.sandbox.run(*words, netns=netns).stdout)


def delays(lab: Lab) -> int:
    """Return how often a limit had a packet wait, as the kernel counts."""
    queues = lab.sandbox.json("tc", "-s", "-j", "qdisc", "show")
    return sum(queue["overlimits"] for queue in queues)


def test_outside_is_limited_and_neighbours_are_not(lab: Lab) -> None:
    """87: both directions have their rates by both families, neighbours have none."""
    network = lab.network(NAME)
    serve(lab, "client")
    with lab.attached(network, "c1") as first, lab.attached(network, "c2") as second:
        serve(lab, "c2")
        for host in (web.CLIENT, web.CLIENT6):
            assert RECEIVING < seconds(lab, "c1", host, "s") < SENDING * 5
            assert SENDING < seconds(lab, "c1", host, "r") < SENDING * 10
        delayed = delays(lab)
        assert delayed > 0
        for host in second.addresses:
            for what in "sr":
                seconds(lab, "c1", host, what)
        assert delays(lab) == delayed
        blocks = lab.sandbox.json("ip", "-j", "link", "show", "type", "ifb")
    assert len(blocks) == 2
    assert lab.left(first, second) == []
    assert lab.sandbox.run("ip", "link", "show", "type", "ifb").stdout == ""


def test_runtime_does_not_lift_the_administrators_limits(lab: Lab) -> None:
    """87: rates of the file win over those that a runtime asks for."""
    network = lab.network(NAME)
    more = {"ingressRate": 10**9, "ingressBurst": 10**9}
    serve(lab, "client")
    with lab.attached(network, "c1", bandwidth=more):
        assert seconds(lab, "c1", web.CLIENT, "s") > RECEIVING
