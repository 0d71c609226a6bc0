# SPDX-License-Identifier: Apache-2.0
"""Bytes a second between containers of two nodes, by each backend in turn.

    python -m benchmarks.overlay [ROUNDS]

Two nodes are namespaces on one bridge, with a veth each and an MTU of 1500, and have a
container each. As root, with iperf3 and ethtool: one TCP connection for two seconds,
ROUNDS (5) times by each backend, in another order each time. Printed are the middle and
the best of each backend, and CPU time of the machine for a gigabyte.

A veth takes a packet of 64 KiB in a tunnel as it is, as a NIC does that cuts it by
itself ("offload on"). With "offload off" it does so for what is in no tunnel alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from dataclasses import replace

from benchmarks.bench import rotated
from benchmarks.peers import config, node
from benchmarks.repair import of_own_node
from cni_common.kernel import netns
from cni_common.spec.errors import CNIError
from cnipy.net import dataplane
from cnipy.net.records import BACKENDS, NetworkConfig

_SECONDS = 2
_NODES = 2
_TUNNELS = ("tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation")
_RATE = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Have two nodes, and measure between their containers."""
    rounds = of_own_node("benchmarks.overlay", 5)
    _wire()
    found: dict[str, list[tuple[float, float]]] = {}
    cases = [(backend, offload) for offload in ("on", "off") for backend in BACKENDS]
    for backend, offload in rotated(cases, rounds):
        try:
            mtu = _joined(backend)
        except CNIError as error:
            found[f"{backend}: {error}"] = []
            continue
        _offload(offload)
        name = f"{backend:10} MTU {mtu}, offload {offload:3}"
        found.setdefault(name, []).append(_measured())
        for number in range(_NODES):
            with netns.entered_path(f"/run/netns/node{number}"):
                dataplane.remove(_network(backend, number))
    for name, every in found.items():
        if not every:
            print(name)
            continue
        rates, costs = zip(*every, strict=True)
        middle, best = statistics.median(rates), max(rates)
        cost = min(costs)
        print(f"{name}: {middle:5.2f} Gbit/s, best {best:5.2f}, {cost:5.2f} s a GB")


def _offload(state: str) -> None:
    """Have the nodes' links cut what is in tunnels by themselves, or not."""
    settings = [word for each in _TUNNELS for word in (each, state)]
    for number in range(_NODES):
        words = ["ip", "netns", "exec", f"node{number}", "ethtool", "-K", "eth0"]
        words += [*settings, "gro", "on"]
        subprocess.run(words, capture_output=True, check=True)


def _network(backend: str, number: int) -> NetworkConfig:
    """Return the network of a node: each has a name of its own, and so a key."""
    return replace(config(backend), name=f"bench{number}")


def _wire() -> None:
    lines = ["link add wire type bridge", "link set wire up"]
    names = [f"{kind}{n}" for kind in ("node", "ctr") for n in range(_NODES)]
    lines = [f"netns add {name}" for name in names] + lines
    for number in range(_NODES):
        peer = f"peer name eth0 netns node{number}"
        lines.append(f"link add wire{number} up master wire type veth {peer}")
    _ip(lines)
    for number in range(_NODES):
        (block,), (address,) = node(number).blocks, node(number).underlay
        _ip(
            [
                "link set lo up",
                f"addr add {address}/16 dev eth0",
                "link set eth0 up",
                f"link add veth0 up type veth peer name eth0 netns ctr{number}",
                f"addr add {block[1]}/{block.prefixlen} dev veth0",
            ],
            f"node{number}",
        )
        _ip(
            [
                f"addr add {block[2]}/{block.prefixlen} dev eth0",
                "link set eth0 up",
                f"route add default via {block[1]}",
            ],
            f"ctr{number}",
        )


def _joined(backend: str) -> int:
    """Have both nodes know each other; return the MTU of their containers."""
    every, mtu = [], 0
    for number in range(_NODES):
        with netns.entered_path(f"/run/netns/node{number}"):
            facts = dataplane.prepare(_network(backend, number), node(number))
        every.append(replace(node(number), mac=facts.mac, key=facts.key))
        mtu = facts.mtu
    for number in range(_NODES):
        with netns.entered_path(f"/run/netns/node{number}"):
            dataplane.apply(_network(backend, number), every[number], every)
        _ip([f"link set eth0 mtu {mtu}"], f"ctr{number}")
        _ip([f"link set veth0 mtu {mtu}"], f"node{number}")
    return mtu


def _measured() -> tuple[float, float]:
    """Return gigabits a second, and seconds of CPU a gigabyte."""
    inside = ["ip", "netns", "exec"]
    serve = [*inside, "ctr1", "iperf3", "-s", "-1"]
    address = str(node(1).blocks[0][2])
    ask = [*inside, "ctr0", "iperf3", "-c", address, "-t", str(_SECONDS), "-J"]
    with subprocess.Popen(serve, stdout=subprocess.DEVNULL):
        time.sleep(0.5)
        before = _busy()
        told = subprocess.run(ask, capture_output=True, text=True, check=True)
        cost = _busy() - before
    received = json.loads(told.stdout)["end"]["sum_received"]
    return received["bits_per_second"] / 1e9, cost / received["bytes"] * 1e9


def _busy() -> float:
    """Return for how many seconds the CPUs of the machine have been busy."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, *rest = map(int, file.readline().split()[1:9])
    return (user + nice + system + sum(rest)) / _RATE


def _ip(lines: list[str], name: str = "") -> None:
    at = ["-n", name] if name else []
    text = "\n".join(lines)
    subprocess.run(["ip", *at, "-batch", "-"], input=text, text=True, check=True)


if __name__ == "__main__":
    main()
