# SPDX-License-Identifier: Apache-2.0
"""What a node has and nobody else: who was first has it, whatever is lost or cut."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
from unit.net.nodes import CONFIG as NETWORK

from cnipy.net import keys
from cnipy.net.documents import RecordError
from cnipy.net.membership import claims, removed
from cnipy.net.membership.follower import Follower
from cnipy.net.membership.publisher import Publisher
from cnipy.net.records import NodeRecord, Pool, new_identity
from cnipy.net.store import Settings, Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = replace(
    NETWORK,
    pools=(Pool(ip_network("10.64.0.0/24"), 28), Pool(ip_network("fd00::/120"), 124)),
    underlay=(),
    domain="apps.internal",
)
BLOCKS = set(ip_network("10.64.0.0/24").subnets(new_prefix=28))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that has the network."""
    settings = Settings.parse({"kind": "file", "directory": str(tmp_path / "store")})
    made = open_store(settings, create=True)
    made.create(keys.config("apps"), CONFIG.content())
    made.create(keys.vni(7), b"apps")
    return made


def node(number: int, name: str = "") -> NodeRecord:
    """Return a node that has joined by now."""
    address = ip_address(f"192.0.2.{number}")
    return NodeRecord(name or f"n{number}", (address,), identity=new_identity())


def joined(store: Store, number: int, blocks: int = 1) -> NodeRecord:
    """Return a node that is in the store, with blocks."""
    own = node(number)
    claims.register(store, CONFIG, own)
    for _ in range(blocks):
        block = claims.claim(store, CONFIG, own, 4)
        own = replace(own, blocks=(*own.blocks, block), seq=own.seq + 1)
    claims.put(store, CONFIG, own)
    return own


def snapshot(store: Store) -> dict[str, bytes]:
    """Return all that the store has."""
    return {entry.key: entry.value for entry in store.list(keys.ROOT)}


def test_every_block_is_claimed_once_and_then_there_is_none(store: Store) -> None:
    """Sixteen at the same time get the sixteen blocks; one more is told why not."""
    nodes = [node(number) for number in range(1, 17)]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda own: claims.claim(store, CONFIG, own, 4), nodes))
    assert set(got) == BLOCKS
    with pytest.raises(claims.ExhaustedError, match="all 16 blocks are claimed"):
        claims.claim(store, CONFIG, node(99), 4)
    assert claims.claim(store, CONFIG, node(99), 6).subnet_of(ip_network("fd00::/120"))  # type: ignore[arg-type]


def test_second_of_a_name_is_refused_and_leaves_nothing(store: Store) -> None:
    """Who comes again is the same node; who only has its name is another."""
    first = joined(store, 1)
    claims.register(store, CONFIG, first)
    before = snapshot(store)
    with pytest.raises(RecordError, match="node n1 of network apps: another node has"):
        claims.register(store, CONFIG, replace(node(2), node="n1"))
    with pytest.raises(RecordError, match="another node has that name"):
        claims.put(store, CONFIG, replace(node(2), node="n1"))
    assert snapshot(store) == before


class Overtaken:
    """A store in which another does something before the first writing of a key."""

    def __init__(self, store: Store, key: str, other: Callable[[], object]) -> None:
        self._store, self._key, self._other = store, key, other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def create(self, key: str, value: bytes) -> int:
        if key == self._key:
            self._key = ""
            self._other()
        return self._store.create(key, value)


def test_of_two_of_a_name_at_one_instant_one_has_it(store: Store) -> None:
    """Who looked before the other wrote is refused."""
    first, second = node(1), replace(node(2), node="n1")
    key = keys.node("apps", "n1")
    overtaken: Any = Overtaken(store, key, lambda: claims.put(store, CONFIG, first))
    claims.register(store, CONFIG, second)
    with pytest.raises(RecordError, match="another node has that name"):
        claims.put(overtaken, CONFIG, second)
    found = store.get(key)
    assert found is not None
    assert found.value == first.content()


def test_second_of_an_underlay_address_is_refused_by_name(store: Store) -> None:
    """The one who has it is named, and the other address is not kept either."""
    joined(store, 1)
    before = snapshot(store)
    both = (ip_address("192.0.2.7"), ip_address("192.0.2.1"))
    with pytest.raises(RecordError, match=r"192\.0\.2\.1 is that of node n1"):
        claims.register(store, CONFIG, replace(node(2), underlay=both))
    assert snapshot(store) == before


def test_node_that_moves_to_an_address_of_another_keeps_what_it_has(
    store: Store,
) -> None:
    """The claims of before are there, whichever of the new ones is refused."""
    first = joined(store, 1)
    joined(store, 2)
    before = snapshot(store)
    moved = (*first.underlay, ip_address("192.0.2.2"))
    for underlay in (moved, moved[::-1]):
        with pytest.raises(RecordError, match=r"192\.0\.2\.2 is that of node n2"):
            claims.register(store, CONFIG, replace(first, underlay=underlay))
        assert snapshot(store) == before


def test_address_that_a_node_had_is_free_once_its_record_has_another(
    store: Store,
) -> None:
    """Also where it was cut off after it claimed the new one."""
    first = joined(store, 1)
    moved = replace(first, underlay=(ip_address("192.0.2.7"),), seq=first.seq + 1)
    claims.register(store, CONFIG, moved)
    assert not claims.is_kept(store, CONFIG, moved)
    claims.keep(store, CONFIG, moved)
    held = [entry.key for entry in store.list(keys.underlays("apps"))]
    assert held == [keys.underlay("apps", moved.underlay[0])]
    claims.register(store, CONFIG, replace(node(2), underlay=first.underlay))


def test_claim_that_was_cut_off_is_found_again(store: Store) -> None:
    """A block whose claimer was killed before it knew is still its own."""
    own = joined(store, 1)
    cut_off = claims.claim(store, CONFIG, own, 4)
    assert set(claims.held(store, CONFIG, own)) == {*own.blocks, cut_off}


def test_store_that_was_lost_hears_it_all_again(store: Store) -> None:
    """Configuration, record, addresses and blocks are there as before."""
    nodes = [joined(store, number, 2) for number in (1, 2)]
    before = snapshot(store)
    for key in before:
        store.delete(key)
    for own in nodes:
        kept = claims.keep(store, CONFIG, own)
        assert kept.lost == {}
        assert kept.written
        assert claims.keep(store, CONFIG, own) == claims.Kept(own, {}, ())
    assert snapshot(store) == before


def test_network_that_was_removed_is_not_written_again(store: Store) -> None:
    """By who was forgotten, and lives; one made anew under the name is another."""
    own = joined(store, 1)
    follower = Follower(store, CONFIG, own)
    assert not follower.is_left_behind()
    removed.mark(store, CONFIG)
    for entry in store.list(keys.network("apps")):
        store.delete(entry.key)
    before = snapshot(store)
    with pytest.raises(RecordError, match="it was removed: `cnipy net leave apps`"):
        claims.keep(store, CONFIG, own)
    follower.poll()
    publisher = Publisher(store, follower)
    publisher.turn()
    assert (publisher.is_ours, snapshot(store)) == (False, before)
    claims.leave(store, CONFIG, own)
    assert snapshot(store) == before
    anew = replace(CONFIG, generation=new_identity())
    assert claims.keep(store, anew, own).written
    assert store.get(keys.config("apps"))


def test_later_node_of_a_block_claimed_twice_names_the_other(store: Store) -> None:
    """After a restore from a backup a block may be another's; who is first has it."""
    first, second = joined(store, 1), joined(store, 2)
    (block,) = first.blocks
    for key in snapshot(store):
        store.delete(key)
    other = replace(second, blocks=(block,))
    assert claims.keep(store, CONFIG, other).lost == {}
    for _ in range(2):  # whoever is cut off before it acts on it is told again
        assert claims.keep(store, CONFIG, first).lost == {block: "n2"}
    left = replace(first, blocks=(), seq=first.seq + 1)
    assert claims.is_kept(store, CONFIG, left)


def test_what_leaves_leaves_nothing(store: Store) -> None:
    """Blocks, addresses and name are free, and the other node has its own still."""
    first, second = joined(store, 1, 2), joined(store, 2)
    claims.leave(store, CONFIG, first)
    left = snapshot(store)
    assert not any(b"n1" in value for value in left.values())
    assert claims.held(store, CONFIG, second) == second.blocks
    claims.leave(store, CONFIG, first)
    assert snapshot(store) == left


def test_forgotten_node_has_nothing_either(store: Store) -> None:
    """Another node does the same for one that is gone; what went is told."""
    first, second = joined(store, 1, 2), joined(store, 2)
    gone = claims.forget(store, CONFIG, "n1")
    expected = {keys.block("apps", block) for block in first.blocks}
    assert set(gone) == {
        *expected,
        keys.node("apps", "n1"),
        keys.underlay("apps", ip_address("192.0.2.1")),
    }
    assert claims.held(store, CONFIG, second) == second.blocks
    assert claims.forget(store, CONFIG, "n1") == []


def test_wanted_block_is_the_nodes_or_refused(store: Store) -> None:
    """What Kubernetes gives a node is claimed as it is."""
    own, other = node(1), joined(store, 2)
    claims.claim_block(store, CONFIG, own, next(iter(BLOCKS - {*other.blocks})))
    with pytest.raises(RecordError, match="node n2 has claimed it"):
        claims.claim_block(store, CONFIG, own, other.blocks[0])
    with pytest.raises(RecordError, match="no block: those of"):
        claims.claim_block(store, CONFIG, own, ip_network("10.64.0.0/27"))
