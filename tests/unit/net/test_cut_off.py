# SPDX-License-Identifier: Apache-2.0
"""A node that is killed at any instant between two words with the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from unit.net.nodes import CONFIG, POLL, Node, Nodes, network_in

from cnipy.net import keys
from cnipy.net.membership import claims, publisher
from cnipy.net.store.file_store import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEWS = 10  # seconds within which a change is known
CALLS = ("get", "list", "create", "cas", "delete", "lease", "changes")


class KilledError(BaseException):
    """What no code of ours holds up."""


class Mortal:
    """A store whose user is killed at the call number `at`, before or after it."""

    def __init__(self, store: FileStore, at: int, *, after: bool) -> None:
        self._store = store
        self._left = at
        self._after = after

    def __getattr__(self, name: str) -> Any:
        known = getattr(self._store, name)
        return self._cutting(known) if name in CALLS else known

    def put(self, key: str, value: bytes) -> int:
        return FileStore.put(self, key, value)  # type: ignore[arg-type] # by calls that are cut

    def _cutting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def cut(*given: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise KilledError
            done = call(*given, **named)
            if self._left == 0:
                raise KilledError
            return done

        return cut


def network(directory: Path) -> Nodes:
    net = network_in(directory)
    for _ in range(3):
        net.add()
    net.go(NEWS)
    return net


def instants(do: Callable[[int, bool], bool]) -> int:
    """Have `do` be killed at each call, until it is done without; return how many."""
    for after in (False, True):
        at = 1
        while do(at, after):
            at += 1
            assert at < 200
    return 2 * (at - 1)


def test_publisher_is_killed_at_every_call(directory: Path) -> None:
    """Another one goes on, all know each other, and the killed one comes back."""
    net = network(directory)

    def killed(at: int, after: bool) -> bool:  # noqa: FBT001 - of `instants`
        (first,) = net.publishers
        other = next(node for node in net.nodes if node is not first)
        other.tell()
        mortal: Any = Mortal(net.store, at, after=after)
        first.publisher._store = first.publisher._trail._store = mortal
        first.publisher._roll = None  # so that it reads, too
        first.publisher._unpacked = publisher.SNAPSHOT_BYTES  # and packs
        net.clock.now += 1
        try:
            first.publisher.turn()
        except KilledError:
            first.is_up = False
            net.go(publisher.OFFICE + 2 * POLL)
            net.check()
            first.start()
            net.go(NEWS)
            net.check()
            return True
        first.publisher._store = first.publisher._trail._store = net.store
        return False

    assert instants(killed) >= 20


@pytest.mark.parametrize("what", ["register", "claim", "tell", "keep", "leave"])
def test_node_is_killed_at_every_call(directory: Path, what: str) -> None:
    """Done again it is done; what it claimed is its own, told of or not."""
    net = network(directory)
    new = net.add()

    def killed(at: int, after: bool) -> bool:  # noqa: FBT001 - of `instants`
        store = Mortal(net.store, at, after=after)
        try:
            _do(store, new, what)
        except KilledError:
            _do(net.store, new, what)
            _check(net, new, what)
            return True
        return False

    assert instants(killed) >= 4


def _do(store: Any, node: Node, what: str) -> None:
    if what == "register":
        claims.register(store, CONFIG, node.own)
    elif what == "claim":
        block = claims.claim(store, CONFIG, node.own, 4)
        node.own = replace(
            node.own, blocks=(*node.own.blocks, block), seq=node.own.seq + 1
        )
        claims.put(store, CONFIG, node.own)
    elif what == "tell":
        node.own = replace(node.own, seq=node.own.seq + 1)
        claims.put(store, CONFIG, node.own)
    elif what == "keep":
        if isinstance(store, Mortal):  # the store has lost everything of it
            for entry in store.list(keys.network("apps")):
                if entry.key == keys.node("apps", node.own.node):
                    FileStore.delete(store._store, entry.key)
        claims.keep(store, CONFIG, node.own)
    else:
        if isinstance(store, Mortal):
            claims.keep(store._store, CONFIG, node.own)
        claims.leave(store, CONFIG, node.own)


def _check(net: Nodes, node: Node, what: str) -> None:
    name = node.own.node
    mine = claims.claimant_of(node.own).content()
    claimed = [e.key for e in net.store.list(keys.blocks("apps")) if e.value == mine]
    if what == "leave":
        assert claimed == []
        assert net.store.get(keys.node("apps", name)) is None
        assert net.store.get(keys.underlay("apps", node.own.underlay[0])) is None
        return
    found = net.store.get(keys.node("apps", name))
    assert found is not None
    assert {keys.block("apps", block) for block in node.own.blocks} <= {*claimed}
    # What it claimed and did not tell of, it has when it begins again.
    blocks = claims.held(net.store, CONFIG, node.own)
    assert [keys.block("apps", block) for block in blocks] == claimed
    node.tell(blocks=blocks)
    net.go(NEWS)
    net.check()
