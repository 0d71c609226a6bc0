# SPDX-License-Identifier: Apache-2.0
"""Nodes on a real etcd: what a store of files cannot have happen to it."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from ipaddress import ip_address
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from etcd_member import Member, cluster
from lab import PATIENCE
from unit.net.nodes import CONFIG, POLL, Clock, Nodes, go_until_known

from cnipy.net import keys
from cnipy.net.membership import claims, publisher
from cnipy.net.records import NodeRecord
from cnipy.net.store import AwayError, Settings, Store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from cni_common.spec.fields import IPNetwork


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    made = Member(tmp_path)
    made.start()
    yield made
    made.kill()


def network(member: Member, nodes: int, open_by: ExitStack) -> Nodes:
    """Return a network whose nodes know each other."""
    parsed = member.settings()
    # A member that is not there is told soon.
    quick = Settings(parsed.kind, parsed.endpoints, deadline=PATIENCE, attempt=PATIENCE)
    net = Nodes(open_by.enter_context(open_store(quick)), Clock())
    net.create()
    for _ in range(nodes):
        net.add()
    go_until_known(net)
    return net


def test_member_is_killed_and_hangs(member: Member, open_by: ExitStack) -> None:
    """Nobody forgets anybody meanwhile, and what comes afterwards is known to all."""
    net = network(member, 3, open_by)
    for end, begin in ((member.kill, member.start), (member.pause, member.resume)):
        end()
        with pytest.raises(AwayError):
            claims.claim(net.store, net.nodes[0].config, net.nodes[0].own, 4)
        net.go(3)
        net.check()
        begin()
        net.nodes[0].tell()
        go_until_known(net)


def test_office_ends_with_its_lease(
    member: Member, open_by: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """etcd gives a publisher's key to another when its lease has run out."""
    monkeypatch.setattr(publisher, "OFFICE", 1)
    net = network(member, 2, open_by)
    while not net.publishers:
        net.go(1)
    (first,) = net.publishers
    first.is_up = False
    (other,) = (node for node in net.nodes if node is not first)
    until = time.monotonic() + 10 * PATIENCE
    while not net.publishers and time.monotonic() < until:
        time.sleep(0.2)
        net.go(POLL)
    assert net.publishers == [other]
    other.tell()
    first.is_up = True
    go_until_known(net)


def test_snapshot_of_etcd_is_restored(
    member: Member, open_by: ExitStack, tmp_path: Path
) -> None:
    """By the commands of the document: who came later is there again, and a block that
    two have is the one's that the store names.
    """
    net = network(member, 3, open_by)
    saved = str(tmp_path / "saved.db")
    member.ctl("snapshot", "save", saved)
    first, second, third = net.nodes
    late = net.add()
    block = claims.claim(net.store, first.config, first.own, 4)
    first.tell(blocks=(*first.own.blocks, block))
    go_until_known(net)
    member.kill()
    shutil.rmtree(tmp_path / "data")
    member.ctl("snapshot", "restore", saved, "--data-dir", str(tmp_path / "data"))
    member.start()
    assert net.store.get(keys.node("apps", late.own.node)) is None
    claims.claim_block(net.store, second.config, second.own, block)
    second.tell(blocks=(*second.own.blocks, block))
    for _ in range(int(publisher.GRACE) // 10 + 6):
        net.go(10)
        assert late.own.node in third.sees
    assert first.lost == (f"{block} n2",)
    assert second.lost == ()
    go_until_known(net)


def test_leader_is_killed_while_nodes_claim(tmp_path: Path) -> None:
    """With two of three members left all goes on: no block is claimed by two, and what
    was claimed is there.
    """
    members = cluster(tmp_path)
    try:
        parsed = members[0].settings(endpoints=[each.endpoint for each in members])
        held: dict[str, list[str]] = {}

        def claiming(number: int) -> None:
            own = node_of(number)
            with open_store(parsed) as store:
                for _ in range(40):
                    block = claim_at_last(store, own)
                    own = replace(own, blocks=(*own.blocks, block))
                    held.setdefault(own.node, []).append(str(block))

        threads = [Thread(target=claiming, args=(number,)) for number in range(8)]
        for each in threads:
            each.start()
        while sum(map(len, list(held.values()))) < 60 and threads[0].is_alive():
            time.sleep(0.01)
        (leader,) = (each for each in members if each.leads)
        leader.kill()
        for each in threads:
            each.join()
        with open_store(parsed) as store:
            for number in range(8):
                own = node_of(number)
                known = {str(each) for each in claims.held(store, CONFIG, own)}
                assert {*held[own.node]} <= known
        every = [block for blocks in held.values() for block in blocks]
        assert len(every) == len({*every}) == 8 * 40
    finally:
        for each in members:
            each.kill()


def node_of(number: int) -> NodeRecord:
    address = ip_address("198.18.0.1") + number
    return NodeRecord(f"n{number}", (address,), identity=f"{number:032x}")


def claim_at_last(store: Store, own: NodeRecord) -> IPNetwork:
    """Claim a block, once the members that are left have a leader."""
    until = time.monotonic() + 20 * PATIENCE
    while True:
        try:
            return claims.claim(store, CONFIG, own, 4)
        except AwayError:
            assert time.monotonic() < until
