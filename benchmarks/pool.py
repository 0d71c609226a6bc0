# SPDX-License-Identifier: Apache-2.0
"""How many addresses a second nodes allocate of one pool, at once.

    python -m benchmarks.pool [NODES] [ADDRESSES]

Each of NODES (32) processes stands for a node: it claims a block in etcd, leases all
addresses of it in a directory of its own as cluster-pool does, and claims the next,
until it has ADDRESSES (1000). etcd and directories are on tmpfs, and nothing starts a
plugin. Printed are addresses and blocks a second, and what a lease, and a claim, took.
"""

from __future__ import annotations

import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from benchmarks import etcd
from cni_common.frame.rollback import Rollback
from cni_common.leases.allocate import lease_all
from cni_common.leases.directory import locked
from cni_common.leases.owner import Owner
from cni_common.leases.ranges import RangeSet, of_block
from cnipy.net.membership import claims
from cnipy.net.records import NetworkConfig, NodeRecord, Pool, new_identity
from cnipy.net.store import Settings, open_store

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Barrier

    from cni_common.spec.fields import IPNetwork

CONFIG = NetworkConfig(
    name="apps",
    backend="gpe",
    pools=(Pool(ip_network("10.64.0.0/10"), 26),),
    vni=7,
    port=4790,
    generation=new_identity(),
)
_IN_A_BLOCK = 61  # less network address, gateway and broadcast address


def main() -> None:
    """Measure, and print."""
    numbers = [int(each) for each in sys.argv[1:]]
    nodes, count = (*numbers, *(32, 1000)[len(numbers) :])
    told: Queue[tuple[list[float], list[float]]] = multiprocessing.Queue()
    barrier = multiprocessing.Barrier(nodes + 1)
    with etcd.running() as store:
        processes = [
            multiprocessing.Process(
                target=_node, args=(number, count, store.settings, barrier, told)
            )
            for number in range(nodes)
        ]
        for each in processes:
            each.start()
        barrier.wait()
        before, began = store.cpu(), time.monotonic()
        answers = [told.get() for _ in processes]
        seconds, cpu = time.monotonic() - began, store.cpu() - before
        for each in processes:
            each.join()
        with open_store(store.settings) as opened:
            claimed = len(opened.list("/cnipy/v1/apps/blocks/"))
    claimings = sorted(value for each, _ in answers for value in each)
    leasings = sorted(value for _, each in answers for value in each)
    if claimed != len(claimings) or len(leasings) != nodes * count:
        raise SystemExit(f"{claimed} blocks, {len(leasings)} addresses: some are lost")
    print(f"{nodes} nodes, {len(leasings)} addresses in {seconds:.1f} s")
    print(f"addresses a second: {len(leasings) / seconds:.0f}")
    print(f"claims: {claimed}, etcd {cpu:.1f} s of CPU; {_of(claimings)}")
    print(f"leases: {_of(leasings)}")


def _of(values: list[float]) -> str:
    last = values[int(len(values) * 0.99)]
    middle = statistics.median(values)
    return f"middle {middle * 1000:.2f} ms, 99 % within {last * 1000:.1f} ms"


def _node(
    number: int,
    count: int,
    settings: Settings,
    barrier: Barrier,
    told: Queue[tuple[list[float], list[float]]],
) -> None:
    address = ip_address("198.18.0.1") + number
    own = NodeRecord(f"n{number}", (address,), identity=new_identity())
    directory = tempfile.mkdtemp(prefix="cnipy-pool-", dir="/dev/shm")
    claimings: list[float] = []
    leasings: list[float] = []
    try:
        with open_store(settings) as store:
            claims.register(store, CONFIG, own)
            barrier.wait()
            while len(leasings) < count:
                began = time.monotonic()
                block = claims.claim(store, CONFIG, own, 4)
                own = replace(own, blocks=(*own.blocks, block), seq=own.seq + 1)
                claims.put(store, CONFIG, own)
                claimings.append(time.monotonic() - began)
                rest = min(_IN_A_BLOCK, count - len(leasings))
                leasings += _lease(directory, block, rest)
        told.put((claimings, leasings))
    finally:
        shutil.rmtree(directory)


def _lease(directory: str, block: IPNetwork, count: int) -> list[float]:
    """Lease so many addresses of a block, each as one call; return what each took."""
    sets = (RangeSet((of_block(block),)),)
    taken = []
    for number in range(count):
        began = time.monotonic()
        with locked(directory, "apps", create=True) as store, Rollback() as undo:
            assert store is not None
            owner = Owner(f"{block.network_address}-{number}", "eth0")
            lease_all(store, sets, [None], owner, undo)
        taken.append(time.monotonic() - began)
    return taken


if __name__ == "__main__":
    main()
