# SPDX-License-Identifier: Apache-2.0
"""Nodes come to know each other by the store, whatever happens to it or to them."""

from __future__ import annotations

import json
import shutil
import zlib
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.net.nodes import CONFIG, KEEP, POLL, Node, Nodes, network_in

from cnipy.net import keys, records
from cnipy.net.documents import RecordError
from cnipy.net.membership import claims, publisher, trail
from cnipy.net.membership.forgetting import Sign
from cnipy.net.membership.peers import Peers
from cnipy.net.membership.roll import Roll
from cnipy.net.membership.steps import INLINE_MAX, Head
from cnipy.net.records import NodeRecord, new_identity
from cnipy.net.store.file_store import FileStore

if TYPE_CHECKING:
    from pathlib import Path

NEWS = 10  # seconds within which a change is known
HEAD, SNAPSHOT = keys.head("apps"), keys.snapshot("apps")


@pytest.fixture
def net(directory: Path) -> Nodes:
    """Return a network without nodes."""
    return network_in(directory)


def number_of_head(net: Nodes) -> int:
    entry = net.store.get(HEAD)
    assert entry is not None
    return Head.parse(entry.value, "apps").number


def test_nodes_know_each_other(net: Nodes) -> None:
    """A node that comes, has another block or goes is known to all in ten seconds."""
    for _ in range(4):
        net.add()
    net.go(NEWS)
    net.check()
    assert len(net.publishers) == 1
    new = net.add()
    net.go(NEWS)
    net.check()
    new.tell(blocks=(*new.own.blocks, claims.claim(net.store, CONFIG, new.own, 4)))
    net.go(NEWS)
    net.check()
    claims.leave(net.store, CONFIG, new.own)
    net.nodes.remove(new)
    new.publisher.close()
    net.go(NEWS + POLL)
    net.check()


def test_nothing_new_is_nothing(net: Nodes) -> None:
    """Where the head has the number that is known, nothing is read or written."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    node = net.nodes[0]
    node.follower.poll()
    revision = net.store.changes(keys.network("apps")).revision
    assert node.follower.poll() is None
    net.go(60)
    number = number_of_head(net)
    net.go(60)
    assert number_of_head(net) == number
    head = net.store.get(HEAD)
    assert head is not None
    assert head.revision <= revision


def test_first_poll_says_who_is_there(net: Nodes) -> None:
    """It returns the nodes even where there are none, so that this is known."""
    node = net.add()
    assert node.follower.poll() is None  # nobody published
    net.go(NEWS)
    again = Node(net.store, net.clock, node.own)
    assert again.follower.poll() == {}
    assert again.follower.poll() is None


@pytest.mark.parametrize("changes", [2, 30, 230])
def test_node_that_was_away_catches_up(net: Nodes, changes: int) -> None:
    """By the steps in the head, by those beside it, or by the snapshot."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    away = next(node for node in net.nodes if not node.publisher.is_ours)
    other = next(node for node in net.nodes if node is not away)
    away.is_up = False
    for _ in range(changes):
        other.tell()
        net.go(1)
    steps = net.store.list(keys.steps("apps"))
    assert len(steps) <= 2 * trail.SNAPSHOT_STEPS + 2
    away.is_up = True
    net.go(NEWS)
    net.check()
    fresh = Node(net.store, net.clock, away.own)
    assert fresh.follower.poll() is not None
    assert fresh.sees == away.sees
    head = net.store.get(HEAD)
    assert head is not None
    assert len(head.value) < INLINE_MAX + 300


def test_many_changes_at_once_are_known(net: Nodes) -> None:
    """What is too much for a head is in a step of its own."""
    for _ in range(40):
        net.add()
    net.go(NEWS)
    net.check()
    head = net.store.get(HEAD)
    assert head is not None
    assert len(head.value) < INLINE_MAX + 300


@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_another_publishes(net: Nodes, how: str) -> None:
    """Fifteen seconds after one is gone; if it comes back, it writes nothing."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    (first,) = net.publishers
    first.is_up = False
    other = next(node for node in net.nodes if node is not first)
    net.go(publisher.OFFICE - POLL - 1)
    assert net.publishers == []
    net.go(2 * POLL + 1)
    assert len(net.publishers) == 1
    other.tell()
    net.go(NEWS)
    number = number_of_head(net)
    if how == "killed":
        first.start()
    first.is_up = True
    net.go(NEWS)
    net.check()
    assert number_of_head(net) == number
    assert len(net.publishers) == 1


def test_two_publishers_write_the_same(net: Nodes) -> None:
    """Where both believe to be the one, each change is told once, and rightly."""
    for _ in range(4):
        net.add()
    net.go(NEWS)
    (first,) = net.publishers
    lease = first.publisher._lease
    assert lease is not None
    second = next(node for node in net.nodes if node is not first)
    second.publisher._lease, second.publisher._kept = lease, net.clock.now
    for _ in range(10):
        before = number_of_head(net)
        net.nodes[3].tell()
        net.go(NEWS)
        net.check()
        assert number_of_head(net) == before + 1


def test_publisher_that_was_cut_off_is_continued(net: Nodes) -> None:
    """A step without a head is taken by the next publisher, and nothing is lost."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    (first,) = net.publishers
    head = net.store.get(HEAD)
    first.own = replace(first.own, seq=99)
    claims.put(net.store, CONFIG, first.own)
    net.clock.now += 1
    first.publisher.turn()
    now = net.store.get(HEAD)
    assert head is not None
    assert now is not None
    net.store.cas(HEAD, head.value, now.revision)  # the head was never written
    first.is_up = False
    net.nodes[1].tell()
    (written,) = net.store.list(keys.steps("apps"))[-1:]
    net.go(publisher.OFFICE + 2 * POLL)
    assert net.store.get(written.key) == written
    net.nodes[2].tell()
    first.start()
    net.go(NEWS)
    net.check()


def backed_up(directory: Path) -> None:
    shutil.copytree(directory / "s", directory / "backup")


def put_back(directory: Path) -> None:
    shutil.rmtree(directory / "s")
    (directory / "backup").rename(directory / "s")


def test_backup_is_put_back(net: Nodes, directory: Path) -> None:
    """Nobody forgets who came after it; all are in the store again, and it goes on."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    backed_up(directory)
    late = net.add()
    net.go(NEWS)
    late.tell(blocks=(*late.own.blocks, claims.claim(net.store, CONFIG, late.own, 4)))
    net.go(NEWS)
    number = number_of_head(net)
    put_back(directory)
    assert number_of_head(net) < number
    for _ in range(int(publisher.GRACE) + 60):
        net.go(1)
        net.check()
    found = net.store.get(keys.node("apps", late.own.node))
    assert found is not None
    for block in late.own.blocks:
        assert net.store.get(keys.block("apps", block))
    net.nodes[0].tell()
    net.go(NEWS)
    net.check()
    assert number_of_head(net) > number
    fresh = Node(net.store, net.clock, late.own)
    fresh.follower.poll()
    assert fresh.sees == late.sees


def test_publisher_that_knows_less_counts_on(net: Nodes, directory: Path) -> None:
    """Once a backup was put back, who publishes need not have seen every head."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    backed_up(directory)
    for _ in range(5):
        net.nodes[0].tell()
        net.go(NEWS)
    number = number_of_head(net)
    put_back(directory)
    for node in net.nodes[:2]:
        node.start(0)  # their caches are lost
    net.nodes[2].is_up = False
    net.go(publisher.OFFICE + 2 * POLL)
    assert net.publishers[0] in net.nodes[:2]
    net.nodes[2].is_up = True
    net.go(int(publisher.GRACE) + 60)
    net.nodes[1].tell()
    net.go(NEWS)
    net.check()
    assert number_of_head(net) > number


def test_store_that_was_put_back_counts_as_before(net: Nodes, directory: Path) -> None:
    """Where it has the very revision again that is known, it is read nevertheless."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    backed_up(directory)
    first, second, _ = net.nodes
    block = claims.claim(net.store, CONFIG, first.own, 4)
    first.tell(blocks=(*first.own.blocks, block))
    net.go(3)  # so that the publisher's lease is there still
    revision = net.store.changes(keys.network("apps")).revision
    put_back(directory)
    claims.claim_block(net.store, CONFIG, second.own, block)
    while net.store.changes(keys.network("apps")).revision < revision:
        net.store.put("/cnipy/v1/other", new_identity().encode())
    net.go(NEWS)
    second.tell(blocks=(*second.own.blocks, block))
    net.go(int(publisher.GRACE) + 60)
    assert first.lost == (f"{block} n2",)
    net.check()


def test_store_that_was_lost_is_told_again(net: Nodes, directory: Path) -> None:
    """An empty store has every node again, and nobody forgot anybody meanwhile."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    number = number_of_head(net)
    shutil.rmtree(directory / "s")
    net.go(2)
    net.check()
    FileStore(str(directory / "s"), create=True)
    for _ in range(int(publisher.GRACE) + 30):
        net.go(1)
        net.check()
    assert number_of_head(net) > number


def test_double_claim_is_found(net: Nodes, directory: Path) -> None:
    """After a backup was put back, who claims later has the block no more, by name."""
    first, second = net.add(), net.add()
    net.go(NEWS)
    backed_up(directory)
    block = claims.claim(net.store, CONFIG, first.own, 4)
    first.tell(blocks=(*first.own.blocks, block))
    net.go(NEWS)
    put_back(directory)
    claims.claim_block(net.store, CONFIG, second.own, block)
    second.tell(blocks=(*second.own.blocks, block))
    net.go(int(publisher.GRACE) + 60)
    assert first.lost == (f"{block} n2",)
    assert second.lost == ()
    assert block not in first.own.blocks
    assert block in first.sees["n2"].blocks
    net.check()


def test_store_is_away(net: Nodes, directory: Path) -> None:
    """Nobody forgets anybody, however long; then everything goes on."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    (directory / "s").rename(directory / "elsewhere")
    net.go(600)
    net.check()
    assert all("store is away" in text for n in net.nodes for text in n.refusals)
    assert all(node.refusals for node in net.nodes)
    (directory / "elsewhere").rename(directory / "s")
    net.nodes[0].tell()
    net.go(publisher.OFFICE + NEWS)
    net.check()


def test_node_that_is_cut_off_keeps_its_routes(net: Nodes) -> None:
    """A node that is dead or away is known to the others as it was, for a day."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    net.nodes[0].is_up = False
    net.go(60)
    net.clock.now += 86400
    net.go(60)
    net.check()


def test_network_is_made_anew(net: Nodes) -> None:
    """With another generation all is read anew; who does not go along stays as it was,
    and publishes no more.
    """
    for _ in range(4):
        net.add()
    for _ in range(5):
        net.nodes[0].tell()
        net.go(2)
    net.go(NEWS)
    (stubborn,) = net.publishers
    stubborn.goes_along = False
    before = stubborn.sees
    number = number_of_head(net)
    config = replace(CONFIG, generation=new_identity(), mtu=1400)
    net.store.put(keys.config("apps"), config.content())
    for _ in range(2 * KEEP + publisher.OFFICE + 2 * NEWS):
        net.go(1)
        for node in net.nodes:
            assert len(node.sees) in {0, 3}  # the first is of one that began anew
        assert stubborn.sees == before
    others = [node for node in net.nodes if node is not stubborn]
    assert [node.follower.config for node in others] == [config] * 3
    assert number_of_head(net) > number
    others[0].tell()
    stubborn.goes_along = True
    net.go(NEWS + KEEP)
    net.check()


@pytest.mark.parametrize("head", [records.NUMBER_MAX, 10**6])
def test_nobody_holds_up_the_others(net: Nodes, head: int) -> None:
    """A node that says again and again that it saw a high head delays what is new once
    at most, and there are numbers left.
    """
    for _ in range(3):
        net.add()
    net.go(NEWS)
    liar = net.nodes[0]
    for count in range(1, 4):
        liar.is_up = False
        lie = min(records.NUMBER_MAX, head * count)
        liar.tell(head=lie)
        net.nodes[1].tell()
        net.go(NEWS if count > 1 else int(publisher.GRACE) + publisher.OFFICE + NEWS)
        assert net.nodes[2].sees["n2"].seq == net.nodes[1].own.seq
    assert number_of_head(net) < records.NUMBER_MAX // 2


def test_name_and_address_are_one_nodes(net: Nodes) -> None:
    """The second node of a name, or of an address, is refused; the first stays."""
    first = net.add()
    net.go(NEWS)
    same_name = replace(
        first.own, identity=new_identity(), underlay=(ip_address("198.18.9.9"),)
    )
    with pytest.raises(RecordError, match="another node has that name"):
        claims.register(net.store, CONFIG, same_name)
    same_address = replace(first.own, identity=new_identity(), node="other")
    with pytest.raises(RecordError, match=r"198\.18\.0\.1 is that of node n1"):
        claims.register(net.store, CONFIG, same_address)
    # One that wrote nevertheless is not published.
    net.store.put(keys.node("apps", "other"), same_address.content())
    seer = net.add()
    net.go(NEWS)
    assert seer.sees.keys() == {"n1"}
    refused = net.publishers[0].publisher.refused
    assert "198.18.0.1 is not claimed by it" in str(refused["other"])


def test_block_that_is_not_claimed_is_not_published(net: Nodes) -> None:
    """A node that says it has another's block has no part of it."""
    first, second = net.add(), net.add()
    net.go(NEWS)
    mine = second.own.blocks
    second.tell(blocks=(*mine, *first.own.blocks))
    third = net.add()
    net.go(NEWS)
    assert third.sees["n2"].blocks == mine
    assert third.sees["n1"].blocks == first.own.blocks
    (who,) = net.publishers
    assert "not claimed by it" in str(who.publisher.refused["n2"])


GARBAGE = [
    b"",
    b"\xff" * 100,
    b"[" * 60000,
    b'{"v": 1, "node": "n1"}',
    b"{" + b" " * 70000 + b"}",
    json.dumps({"v": 1, "node": "n2", "underlay": ["127.0.0.1"]}).encode(),
]


@pytest.mark.parametrize("content", GARBAGE)
def test_garbage_in_place_of_a_record_is_ignored(net: Nodes, content: bytes) -> None:
    """The node is named, and stays what it was; news of others arrive."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    before = net.nodes[0].sees
    net.nodes[1].is_up = False  # it would write its record again
    net.store.put(keys.node("apps", "n2"), content)
    net.store.put(keys.node("apps", "stranger"), content)
    net.store.put(keys.nodes("apps") + "A.b", content)
    net.nodes[2].tell()
    net.go(publisher.OFFICE + 2 * NEWS)
    assert net.nodes[0].sees["n2"] == before["n2"]
    assert net.nodes[0].sees["n3"].seq == net.nodes[2].own.seq
    (who,) = net.publishers
    assert {"n2", "stranger", "A.b"} <= who.publisher.refused.keys()
    who.publisher.close()
    assert who.publisher.refused == {}  # which is another's to say now
    assert all(node.refusals == [] for node in net.nodes)


def packed(document: object) -> bytes:
    return zlib.compress(json.dumps(document).encode())


HOSTILE = [
    *GARBAGE,
    json.dumps({"v": 1, "generation": "x", "list": [1, "y"]}).encode(),
    json.dumps(
        {"v": 1, "generation": CONFIG.generation, "list": [1 << 60, "0" * 32]}
    ).encode(),
    json.dumps(
        {"v": 1, "generation": CONFIG.generation, "list": [9999, "0" * 32]}
    ).encode(),
    packed({"v": 1, "generation": CONFIG.generation, "list": [0, "0" * 32]}),
    packed(
        {
            "v": 1,
            "generation": CONFIG.generation,
            "list": [9999, "0" * 32],
            "nodes": [["n9", {"v": 1}]],
        }
    ),
    zlib.compress(b" " * (70 << 20)),
    zlib.compress(b"[]")[:-3],
]


@pytest.mark.parametrize("key", [HEAD, SNAPSHOT, keys.step("apps", 9999), None])
def test_garbage_in_place_of_the_head_is_refused(net: Nodes, key: str | None) -> None:
    """Whatever stands where publishers write is refused, and nobody is forgotten."""
    for _ in range(2):
        net.add()
    net.go(NEWS)
    before = net.nodes[0].sees
    for content in HOSTILE:
        for each in [key] if key else [HEAD, SNAPSHOT, keys.step("apps", 9999)]:
            net.store.put(each, content)
        for node in (net.nodes[0], Node(net.store, net.clock, net.nodes[0].own)):
            with suppress(RecordError):
                node.follower.poll()
            assert node.sees in ({}, before)
        assert net.nodes[0].sees == before


@pytest.mark.parametrize("key", [HEAD, SNAPSHOT])
def test_garbage_in_place_of_the_head_is_replaced(net: Nodes, key: str) -> None:
    """Who publishes writes it anew, and all know of each other and of what comes."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    for content in HOSTILE:
        net.store.put(key, content)
        for _ in range(4):
            net.go(1)
            net.check()
        net.nodes[0].tell()
        net.go(NEWS)
        net.check()
    net.store.delete(HEAD)
    net.store.delete(SNAPSHOT)
    net.nodes[0].tell()
    net.go(NEWS)
    net.check()
    net.add()
    net.go(NEWS)
    net.check()


def forged(net: Nodes, number: int, **more: object) -> bytes:
    """Return a head that says another number, and the hash that there is."""
    entry = net.store.get(HEAD)
    assert entry is not None
    there = json.loads(entry.value)
    return json.dumps({**there, "list": [number, there["list"][1]], **more}).encode()


def step_to(net: Nodes, number: int) -> dict[str, object]:
    """Return a step from the head to the same list by another number."""
    entry = net.store.get(HEAD)
    assert entry is not None
    before = json.loads(entry.value)["list"]
    step = {"v": 1, "generation": CONFIG.generation, "from": before, "changes": []}
    return {**step, "to": [number, before[1]]}


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_what_stands_for_the_head_is_replaced_without_news(
    net: Nodes, content: bytes
) -> None:
    """Whoever publishes sees it at the next poll, and nobody misses anything."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    net.store.put(HEAD, content)
    net.go(POLL + 2)
    net.check()
    number_of_head(net)  # which is one
    fresh = Node(net.store, net.clock, net.nodes[0].own)
    assert fresh.follower.poll() is not None


@pytest.mark.parametrize("number", [records.NUMBER_MAX + 1, 1 << 40])
def test_number_to_which_nobody_counts_is_not_remembered(
    net: Nodes, number: int
) -> None:
    """Though a step leads there: there are numbers left, and who joined while it stood
    goes on with the others.
    """
    for _ in range(3):
        net.add()
    net.go(NEWS)
    before = number_of_head(net)
    step = step_to(net, number)
    net.store.put(HEAD, forged(net, number, steps=[step]))
    for node in net.nodes:
        node.follower.poll()
        assert node.follower.roll.number == number  # it was a way
    poisoned = net.add()
    poisoned.start(number)  # as a cache of an earlier release has it
    net.go(NEWS)
    net.check()
    assert before < number_of_head(net) < before + 10
    assert all(node.follower.seen == number_of_head(net) for node in net.nodes)
    net.nodes[0].tell()
    net.go(NEWS)
    net.check()


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_snapshot_that_leads_nowhere_is_replaced_without_news(
    net: Nodes, content: bytes
) -> None:
    """Who follows does not need it, and who begins has it within seconds."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    net.store.put(SNAPSHOT, content)
    net.go(int(publisher.KEEP) + 2)
    fresh = Node(net.store, net.clock, net.nodes[0].own)
    assert fresh.follower.poll() is not None
    assert fresh.sees == net.nodes[0].sees
    assert all(node.refusals == [] for node in net.nodes)


def test_steps_that_lead_astray_or_are_lost_hold_up_nobody(net: Nodes) -> None:
    """What stands beside the right ones is passed over, and goes; so does a gap."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    net.nodes[0].tell()
    net.go(NEWS)
    number = number_of_head(net)
    last = net.store.get(keys.step("apps", number))
    assert last is not None
    right = json.loads(last.value)
    for to in (records.NUMBER_MAX, number + 7):
        wrong = {**right, "to": [to, "0" * 32]}
        net.store.put(keys.step("apps", to), json.dumps(wrong).encode())
    fresh = Node(net.store, net.clock, net.nodes[0].own)
    assert fresh.follower.poll() is not None
    net.store.delete(last.key)
    net.go(int(publisher.KEEP) + 2)
    assert number_of_head(net) == number + 1
    assert net.store.get(keys.step("apps", records.NUMBER_MAX)) is None
    fresh = Node(net.store, net.clock, net.nodes[0].own)
    fresh.follower.poll()
    assert fresh.sees == net.nodes[0].sees
    for _ in range(2):
        net.go(NEWS)
    assert number_of_head(net) == number + 1  # and once is enough


def test_office_without_a_lease_is_nobodys(net: Nodes) -> None:
    """As in a store that was copied key by key: it would never end."""
    net.store.put(keys.publisher("apps"), b'{"node": "n9", "identity": "x"}')
    for _ in range(3):
        net.add()
    net.go(NEWS)
    net.check()
    (who,) = net.publishers
    found = net.store.get(keys.publisher("apps"))
    assert found is not None
    assert found.is_leased
    assert found.value == claims.claimant_of(who.own).content()


def test_configuration_that_is_none_stops_no_news(net: Nodes) -> None:
    """Another publishes where one is gone, and goes on."""
    for _ in range(3):
        net.add()
    net.go(NEWS)
    (first,) = net.publishers
    other = next(node for node in net.nodes if node is not first)
    net.store.put(keys.config("apps"), b"{")
    for node in net.nodes:
        node.goes_along = False
    first.is_up = False
    other.tell()
    net.go(2 * publisher.OFFICE + NEWS)
    net.check()
    assert len(net.publishers) == 1


@settings(max_examples=60)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 9)), max_size=12
    )
)
def test_hash_is_that_of_the_list(changes: list[tuple[str, int | None]]) -> None:
    """It is the same whichever way led there, and another one for another list."""
    roll = Roll()
    final: dict[str, int] = {}
    for node, value in changes:
        roll.put(node, None if value is None else {"seq": value})
        final.pop(node, None)
        if value is not None:
            final[node] = value
    straight, other = Roll(), Roll()
    for node in sorted(final):
        straight.put(node, {"seq": final[node]})
        other.put(node, {"seq": final[node] + 1})
    assert roll.digest == straight.digest
    assert (roll.digest == other.digest) == (not final)


def test_step_leads_to_its_hash_or_nowhere() -> None:
    """One that starts elsewhere, or leads elsewhere, leaves the list as it is."""
    roll = Roll()
    step = roll.step_to(1, CONFIG.generation, [("a", {"seq": 1})])
    for wrong in (
        replace(step, changes=(("a", {"seq": 2}),)),
        replace(step, after="0" * 32),
        replace(step, before="1" * 32),
        replace(step, origin=1),
        replace(step, number=0),
    ):
        assert not roll.follow(wrong)
        assert (roll.number, roll.documents) == (0, {})
    assert roll.follow(step)
    assert roll.documents.keys() == {"a"}


def record(name: str, address: str, *blocks: str) -> NodeRecord:
    return NodeRecord(
        name,
        (ip_address(address),),
        tuple(ip_network(each) for each in blocks),
        identity=new_identity(),
    )


def documents(*of: NodeRecord) -> dict[str, str]:
    return {each.node: json.dumps(each.document()) for each in of}


def test_two_of_one_block_are_not_both_believed() -> None:
    """Who was there stays, the other is refused by the name of the first."""
    own = record("me", "198.18.0.1", "10.64.0.0/26")
    first = record("z", "198.18.0.2", "10.64.1.0/26")
    peers = Peers(CONFIG, own)
    assert peers.learn(["z"], documents(first))
    thief = record("a", "198.18.0.3", "10.64.1.0/26")
    twin = record("b", "198.18.0.2", "10.64.2.0/26")
    ours = record("c", "198.18.0.4", "10.64.0.0/26")
    mine = record("d", "198.18.0.1", "10.64.3.0/26")
    known = documents(first, thief, twin, ours, mine)
    assert not peers.learn("abcd", known)
    assert peers.records == {"z": first}
    told = {name: str(error) for name, error in peers.refused.items()}
    assert "10.64.1.0/26 is that of node z" in told["a"]
    assert "198.18.0.2 is that of node z" in told["b"]
    assert "10.64.0.0/26 is that of node me" in told["c"]
    assert "198.18.0.1 is this node's own" in told["d"]
    # When the first one gives it back, the other is believed.
    del known["z"]
    assert peers.learn(["z"], known)
    assert peers.records.keys() == {"a", "b"}


def test_node_that_says_nonsense_stays_what_it_was() -> None:
    """Its earlier record is believed, until another node has its block or address."""
    peers = Peers(CONFIG, record("me", "198.18.0.1"))
    node = record("a", "198.18.0.2", "10.64.1.0/26")
    peers.learn("a", documents(node))
    nonsense = replace(node, underlay=(ip_address("127.0.0.1"),))
    assert not peers.learn("a", documents(nonsense))
    assert peers.records == {"a": node}
    assert "it is loopback" in str(peers.refused["a"])
    other = record("b", "198.18.0.2", "10.64.2.0/26")
    assert peers.learn("b", documents(nonsense, other))
    assert peers.records == {"b": other}


def test_what_becomes_this_nodes_is_nobody_elses() -> None:
    """Who has a block that this node has by now is refused, and believed when it has
    not any more.
    """
    own = record("me", "198.18.0.1")
    peers = Peers(CONFIG, own)
    node = record("a", "198.18.0.2", "10.64.1.0/26")
    peers.learn("a", documents(node))
    assert peers.be(replace(own, blocks=node.blocks), documents(node))
    assert peers.records == {}
    assert "10.64.1.0/26 is that of node me" in str(peers.refused["a"])
    assert peers.be(own, documents(node))
    assert peers.records == {"a": node}
    assert not peers.be(own, documents(node))


def test_block_goes_from_one_to_another_at_once() -> None:
    """Where one step takes it from a node and gives it to one, both are believed."""
    peers = Peers(CONFIG, record("me", "198.18.0.1"))
    giver, taker = (
        record("g", "198.18.0.2", "10.64.1.0/26"),
        record("a", "198.18.0.3"),
    )
    peers.learn("ga", documents(giver, taker))
    giver = replace(giver, blocks=())
    taker = replace(taker, blocks=(ip_network("10.64.1.0/26"),))
    assert peers.learn("ga", documents(giver, taker))
    assert peers.refused == {}
    assert peers.records == {"g": giver, "a": taker}


def test_silent_node_is_forgotten_late_and_never_early(directory: Path) -> None:
    """One that gives signs stays; one that gives none goes after the time set."""
    net = network_in(directory)
    config = replace(CONFIG, forget_after=800)
    for _ in range(3):
        net.add()
    for node in net.nodes:
        node.config = config
        node.start()
    silent = net.nodes[2]
    signs = [Sign(net.store, config, net.clock) for _ in net.nodes]
    for second in range(1, 2000):
        for sign, node in zip(signs, net.nodes, strict=True):
            if second % 60 == 0 and (node is not silent or second < 500):
                sign.turn(node.own)
        if second % 10 == 0:
            net.clock.now += 10
            for node in net.nodes[:2]:
                node.phase = POLL - 1
                node.second()
        gone = net.store.get(keys.node("apps", "n3")) is None
        assert not (gone and second < 500 + 800 - 100)
        if gone:
            break
    else:
        pytest.fail("it is still there")
    net.nodes.remove(silent)
    net.go(2 * NEWS)
    net.check()
    assert net.store.list(keys.block("apps", silent.own.blocks[0])) == ()
