# SPDX-License-Identifier: Apache-2.0
"""What it costs to have thousands of other nodes in one kernel, by each backend.

    python -m benchmarks.peers [COUNT]

On a node of its own, as root, COUNT (5000) others with a block each are applied, then
one more, then the same again, then all are removed; the first fill is done three times.
Printed are wall time, and CPU time of the process with the kernel's work for it.
"""

from __future__ import annotations

import base64
import ipaddress
import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.repair import of_own_node
from cni_common.spec.errors import CNIError
from cnipy.net import dataplane
from cnipy.net.records import BACKENDS, PORTS, NetworkConfig, NodeRecord, Pool

if TYPE_CHECKING:
    from collections.abc import Callable

_POOL = Pool(ipaddress.ip_network("10.64.0.0/10"), 26)
_UNDERLAY = ipaddress.ip_address("172.16.0.1")
_FILLS = 3
_LINKS = f"""\
link add eth0 type veth peer name eth1
addr add {_UNDERLAY}/16 dev eth0
link set eth0 up
link set eth1 up
"""


def main() -> None:
    """Have a node, and measure there."""
    count = of_own_node("benchmarks.peers", 5000)
    subprocess.run(["ip", "-batch", "-"], input=_LINKS, text=True, check=True)
    every = [node(number) for number in range(count + 2)]
    for backend in BACKENDS:
        try:
            _measure(config(backend), every)
        except CNIError as error:
            print(f"{backend}: {error}")


def config(backend: str) -> NetworkConfig:
    """Return a network of IPv4."""
    return NetworkConfig(
        name="bench",
        backend=backend,
        pools=(_POOL,),
        vni=1,
        port=PORTS[backend],
        generation="0" * 32,
    )


def node(number: int) -> NodeRecord:
    """Return the record of a node."""
    start = int(_POOL.network.network_address) + (number << (32 - _POOL.block))
    return NodeRecord(
        node=f"node-{number}",
        underlay=(_UNDERLAY + number,),
        blocks=(ipaddress.ip_network((start, _POOL.block)),),
        mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
        key=base64.b64encode(number.to_bytes(32)).decode() if number else "",
        identity=f"{number:032x}",
    )


def _measure(network: NetworkConfig, every: list[NodeRecord]) -> None:
    own, known, more = every[0], every[1:-1], every[1:]
    for _ in range(_FILLS):
        dataplane.remove(network)
        dataplane.prepare(network, own)
        _timed(network, f"{len(known)} nodes", lambda: _applied(network, own, known))
    _timed(network, "one more", lambda: _applied(network, own, more))
    _timed(network, "nothing new", lambda: _applied(network, own, more))
    _timed(network, "one less", lambda: _applied(network, own, known))
    _timed(network, "removed", lambda: dataplane.remove(network))


def _applied(network: NetworkConfig, own: NodeRecord, others: list[NodeRecord]) -> None:
    lacking = dataplane.apply(network, own, others).lacking
    if lacking:
        raise SystemExit(lacking[0])


def _timed(network: NetworkConfig, what: str, work: Callable[[], object]) -> None:
    wall, cpu = time.monotonic(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    backend = network.backend
    print(f"{backend:10}{what:12}{wall:7.3f} s, {cpu:7.3f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
