# SPDX-License-Identifier: Apache-2.0
"""How soon nodes know of a change, and what that costs etcd.

    python -m benchmarks.membership [FOLLOWERS] [RECORDS]

RECORDS (5000) nodes are written to an etcd on tmpfs, with what they claim. FOLLOWERS
(50) nodes beside them do what agents do: poll every 5 s, give or take 20 %, and publish
if nobody does. Ten times one of the nodes changes its record. Printed is when all
followers know it, what etcd takes meanwhile, and what a poll costs it, by 2000 of them.
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import sys
import threading
import time
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from benchmarks import etcd
from benchmarks.pool import CONFIG
from cnipy.net import keys
from cnipy.net.membership import claims
from cnipy.net.membership.follower import Follower
from cnipy.net.membership.publisher import Publisher
from cnipy.net.records import NodeRecord
from cnipy.net.store import Settings, StoreError, open_store

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

    Told = Queue[tuple[int, float, float]]

CHANGES, BETWEEN = 10, 12.0  # seconds
POLLS = 2000
_PROCESSES, _WRITERS = 5, 8
_POLL, _GIVE_OR_TAKE = 5.0, 0.2


def main() -> None:
    """Measure, and print."""
    numbers = [int(each) for each in sys.argv[1:]]
    followers, records = (*numbers, *(50, 5000)[len(numbers) :])
    told: Told = multiprocessing.Queue()
    with etcd.running() as server:
        began, before = time.monotonic(), server.cpu()
        _write(server.settings, records)
        seconds, cpu = time.monotonic() - began, server.cpu() - before
        print(f"{records} records written in {seconds:.0f} s, etcd {cpu:.1f} s of CPU")
        share = [followers // _PROCESSES] * _PROCESSES
        share[0] += followers - sum(share)
        processes = [
            multiprocessing.Process(
                target=_follow, args=(records + number, count, server.settings, told)
            )
            for number, count in zip(range(0, 1000, 200), share, strict=True)
        ]
        for each in processes:
            each.start()
        first = [told.get() for _ in range(followers)]
        print(f"first list: at most {max(cost for _, _, cost in first):.1f} s")
        _measure(server, followers, told)
        for each in processes:
            each.kill()
            each.join()
        _poll(server)
        print(f"etcd: {server.memory():.0f} MiB")


def _measure(server: etcd.Etcd, followers: int, told: Told) -> None:
    """Change a record, again and again, and print who knew it when."""
    delays: list[float] = []
    costs: list[float] = []
    with open_store(server.settings) as store:
        own = _node(0)
        began, before = time.monotonic(), server.cpu()
        for number in range(1, CHANGES + 1):
            changed = time.monotonic()
            claims.put(store, CONFIG, replace(own, seq=number))
            heard = [told.get() for _ in range(followers)]
            if {seq for seq, _, _ in heard} != {number}:
                raise SystemExit("a follower heard of another change")
            delays += [at - changed for _, at, _ in heard]
            costs += [cost for _, _, cost in heard]
            time.sleep(max(0.0, changed + BETWEEN - time.monotonic()))
        share = (server.cpu() - before) / (time.monotonic() - began)
    middle, last = statistics.median(delays), max(delays)
    print(f"{CHANGES} changes at {followers} followers: all know after {last:.1f} s,")
    print(
        f"half after {middle:.1f} s; a poll that brings one takes the follower", end=""
    )
    print(f" {statistics.median(costs) * 1000:.0f} ms; etcd {share:.3f} of a core")


def _poll(server: etcd.Etcd) -> None:
    with open_store(server.settings) as store:
        before = server.cpu()
        for _ in range(POLLS):
            store.list(keys.head(CONFIG.name), stale=True)
        cost = (server.cpu() - before) / POLLS
    print(f"a poll: {cost * 1000:.2f} ms of etcd's CPU")


def _node(number: int) -> NodeRecord:
    """Return a node, the same one each time."""
    address = ip_address("198.18.0.1") + number
    block = ip_network((int(ip_address("10.64.0.0")) + (number << 6), 26))
    return NodeRecord(f"n{number}", (address,), (block,), identity=f"{number:032x}")


def _write(settings: Settings, records: int) -> None:
    def some(start: int) -> None:
        with open_store(settings) as store:
            for number in range(start, records, _WRITERS):
                own = _node(number)
                mine = claims.claimant_of(own).content()
                store.create(keys.underlay(CONFIG.name, own.underlay[0]), mine)
                store.create(keys.block(CONFIG.name, own.blocks[0]), mine)
                store.create(keys.node(CONFIG.name, own.node), own.content())

    threads = [threading.Thread(target=some, args=(n,)) for n in range(_WRITERS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def _follow(first: int, count: int, settings: Settings, told: Told) -> None:
    """Be `count` nodes."""

    def node(number: int) -> None:
        with open_store(settings) as store:
            own = _node(number)
            claims.register(store, CONFIG, own)
            claims.claim_block(store, CONFIG, own, own.blocks[0])
            claims.put(store, CONFIG, own)
            follower = Follower(store, CONFIG, own)
            publisher = Publisher(store, follower)
            _live(follower, publisher, told)

    threads = [
        threading.Thread(target=node, args=(number,))
        for number in range(first, first + count)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def _live(follower: Follower, publisher: Publisher, told: Told) -> None:
    known, due = -1, 0.0
    while True:
        began = time.monotonic()
        try:
            if began >= due:
                spread = 1 + random.uniform(-_GIVE_OR_TAKE, _GIVE_OR_TAKE)  # noqa: S311 - no secret
                due = began + _POLL * spread
                follower.poll()
                now = time.monotonic()
                seen = follower.peers.get("n0")
                if seen and seen.seq != known:
                    known = seen.seq
                    told.put((known, now, now - began))
            publisher.turn()
        except StoreError as error:
            print(f"{follower.own.node}: {error}", file=sys.stderr)
        time.sleep(1.0)


if __name__ == "__main__":
    main()
