# SPDX-License-Identifier: Apache-2.0
"""How soon the kernels of nodes with real agents have a change, beside many records.

    python -m benchmarks.fifty_agents [AGENTS] [RECORDS] [CHANGES]

RECORDS (5000) simulated nodes are written to an etcd, and AGENTS (50) nodes, namespaces
with `cnipy net agent` and all its files, join. CHANGES (3) times a node is written that
has a new block. Printed is when all agents' kernels have the route, what etcd takes of
a core meanwhile, and memory of an agent.
"""

from __future__ import annotations

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import agents
from benchmarks.agents import ETCD, NETWORK, wait_until
from cni_common.kernel import netns
from cnipy.net import keys
from cnipy.net.membership import claims
from cnipy.net.records import NetworkConfig, NodeRecord
from cnipy.net.store import Settings, open_store

if TYPE_CHECKING:
    from netns.net.machines import Lan, Node

    from cni_common.spec.fields import IPNetwork
    from cnipy.net.store import Store

_POOL = ip_network("10.64.0.0/10")
_JOINING = 4  # at once
_LATEST = 120  # seconds for a change
_NEW = 60_000  # number of the first block that a change brings


def main() -> None:
    """Measure, and print."""
    numbers = [int(each) for each in sys.argv[1:]]
    count, records, changes = (*numbers, *(50, 5000, 3)[len(numbers) :])
    with ExitStack() as stack:
        lan = stack.enter_context(agents.running())
        nodes = [lan.node(11 + number) for number in range(count)]
        nodes[0].ok("net", "create", NETWORK, "--pool", str(_POOL))
        stack.enter_context(netns.entered_path(f"/proc/{lan.switch.pid}/ns/net"))
        lan.switch.run("ip", "addr", "add", "192.0.2.250/24", "dev", "br0")
        url = f"http://{ETCD}:2379"
        settings = Settings.parse({"kind": "etcd", "endpoints": [url]})
        store = stack.enter_context(open_store(settings))
        content = store.get(keys.config(NETWORK))
        assert content is not None
        config = NetworkConfig.parse(content.value, NETWORK)
        for number in range(records):
            _write(store, config, _record(number))
        began = time.monotonic()
        with ThreadPoolExecutor(_JOINING) as pool:
            list(pool.map(_join, nodes))
        wait_until(lambda: _agree(nodes, records + count - 1), 300)
        print(f"{count} agents joined {records} records ", end="")
        print(f"in {time.monotonic() - began:.0f} s")
        _measure(lan, nodes, store, config, changes)
        print(f"an agent: {statistics.median(map(_memory, nodes)):.0f} MiB")


def _measure(
    lan: Lan, nodes: list[Node], store: Store, config: NetworkConfig, changes: int
) -> None:
    own, delays = _record(0), list[float]()
    began, before = time.monotonic(), lan.etcd_cpu()
    for number in range(1, changes + 1):
        block = _block(_NEW + number)
        own = replace(own, blocks=(*own.blocks, block), seq=own.seq + 1)
        claims.claim_block(store, config, own, block)
        written = time.monotonic()
        claims.put(store, config, own)
        left = [*nodes]
        while left and time.monotonic() - written < _LATEST:
            left = [each for each in left if not _has(each, str(block))]
            time.sleep(0.1)
        delays.append(time.monotonic() - written)
        if left:
            raise SystemExit(f"{len(left)} agents do not have {block}")
        time.sleep(5)
    share = (lan.etcd_cpu() - before) / (time.monotonic() - began)
    every = ", ".join(f"{each:.1f}" for each in delays)
    print(f"a change is in all {len(nodes)} kernels after {every} s; ", end="")
    print(f"etcd {share:.3f} of a core")


def _join(node: Node) -> None:
    node.ok("net", "join", NETWORK)
    node.start(poll="5")


def _has(node: Node, block: str) -> bool:
    return block in node.run("ip", "route", "show", "exact", block)


def _agree(nodes: list[Node], others: int) -> bool:
    return all(
        len(node.run("ip", "nexthop", "show", "proto", "78").splitlines()) == others
        for node in nodes
    )


def _memory(node: Node) -> float:
    """Return what an agent has resident, in MiB."""
    assert node.agent is not None
    status = Path(f"/proc/{node.agent.pid}/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _block(number: int) -> IPNetwork:
    return ip_network((int(_POOL[0]) + (number << 6), 26))


def _record(number: int) -> NodeRecord:
    address = ip_address("198.18.0.1") + number
    name, identity = f"s{number}", f"{number:032x}"
    return NodeRecord(name, (address,), (_block(number),), identity=identity)


def _write(store: Store, config: NetworkConfig, own: NodeRecord) -> None:
    mine = claims.claimant_of(own).content()
    store.create(keys.underlay(config.name, own.underlay[0]), mine)
    store.create(keys.block(config.name, own.blocks[0]), mine)
    store.create(keys.node(config.name, own.node), own.content())


if __name__ == "__main__":
    main()
