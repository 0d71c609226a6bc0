# SPDX-License-Identifier: Apache-2.0
"""What a node does in one network; the agent does it in time, the command at once.

What the node has on disk (cnipy/net/cache.py) is what counts: each change is there
before anybody relies on it, and is made under the network's lock, so that agent and
command do not overtake each other.
"""

from __future__ import annotations

from contextlib import contextmanager

from cni_common.frame.rollback import Gather
from cni_common.spec.errors import CNIError, Code
from cnipy.net import dataplane, keys
from cnipy.net.agent import entry, holding, revision
from cnipy.net.agent.others import Others
from cnipy.net.agent.ways import Ways
from cnipy.net.cache import Cache
from cnipy.net.membership import claims
from cnipy.net.refusal import store_refusal
from cnipy.net.store import open_store

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from cni_common.spec.fields import IPNetwork
    from cnipy.net.conf import NetFile
    from cnipy.net.records import NetworkConfig, NodeRecord
    from cnipy.net.store import Store


class Member:
    """This node in the network `name`; `is_over` once it has left it."""

    def __init__(self, name: str, conf: NetFile, tell: Callable[[str], None]) -> None:
        self.name = name
        self.is_over = False
        self._conf = conf
        self._tell = tell
        self._cache = Cache(name)
        with store_refusal("open the store"):
            self.store = open_store(conf.settings())
            self._store_of_asked = open_store(conf.settings())
        self._others = Others(self.store, self._cache, tell)
        self._ways = Ways(self._cache)
        self._faults: dict[str, str] = {}

    def known(self) -> tuple[NetworkConfig, NodeRecord]:
        """Return the network and this node as the disk has them.

        Raises Code.INVALID_CONFIG where the node is in it no longer: `is_over` then.
        """
        config = self._cache.config()
        own = self._cache.own(config) if config else None
        if config is None or own is None:
            self.is_over = True
            msg = f"be in network {self.name}: this node has not joined it"
            raise CNIError(Code.INVALID_CONFIG, msg, f"`cnipy net join {self.name}`")
        return config, own

    def enter(
        self, config: NetworkConfig, cidrs: tuple[str, ...] = ()
    ) -> tuple[NodeRecord, int]:
        """Join the network; return the node's record, and the MTU between nodes.

        `cidrs` are the blocks that it is told to have, or files. Raises CNIError, and
        then it is not in it, unless it was before.
        """
        with self._cache.locked(), store_refusal(f"join network {self.name}"):
            if cidrs:
                self._cache.keep_pod_cidrs(cidrs)
            own, facts = entry.enter(self.store, self._cache, self._conf, config)
        peers = self._others.hear_first(config, own)
        with self._cache.locked():
            config, own = self.known()
            if peers is not None or self._cache.peers(config) is None:
                self._cache.keep_peers(peers or {}, self._others.seen)
            self._ways.follow(config, own, self._cache.peers(config), self._tell)
        return own, facts.mtu

    def leave(self, *, offline: bool) -> tuple[list[str], bool]:
        """Remove all of the network from this node, and of the node from the store,
        unless `offline`; return as `entry.leave` does. Raises CNIError.
        """
        with self._cache.locked(), store_refusal(f"leave network {self.name}"):
            return entry.leave(None if offline else self.store, self._cache)

    def check_store(self) -> None:
        """Raise Code.TRY_AGAIN_LATER where the store is away."""
        with store_refusal(f"leave network {self.name}"):
            self.store.get(keys.config(self.name))

    def peers(self) -> dict[str, NodeRecord]:
        """Return the records of the other nodes that are known; raises CNIError."""
        config, _ = self.known()
        return self._cache.peers(config) or {}

    def mtu(self) -> int:
        """Return the longest packet that goes from node to node; raises CNIError."""
        config, own = self.known()
        return dataplane.prepare(config, own).mtu

    def repair(self) -> list[str]:
        """Ensure that kernel, files and store are right; tell what was done.

        Raises CNIError; what needs no store is done first.
        """
        done = self.settle()
        with (
            self._cache.locked(),
            store_refusal(f"look for blocks of network {self.name}"),
        ):
            config, own = self.known()
            now = entry.with_claimed(self.store, self._cache, config, own)
            found = [block for block in now.blocks if block not in own.blocks]
        self.move()
        self.keep()
        self.follow()
        return [*done, *(f"took block {block}, which was claimed" for block in found)]

    def settle(self) -> list[str]:
        """Have kernel and files as on disk, without a store; tell what was done, which
        nodes have no way from here, and whose routes go before ours.
        """
        with self._cache.locked():
            config, own = self.known()
            self._hold(config, own)
            dataplane.prepare(config, own)
            done, lacking, outrun = self._ways.ensure(config, own, thorough=True)
            return [*done, *lacking, *outrun]

    def poll(self) -> None:
        """Learn what is new of the others, and have the kernel know it.

        A store that is away keeps the kernel from nothing, and a full disk neither.
        Raises CNIError.
        """
        config, own = self.known()
        with Gather() as errors:
            peers = errors.attempt(self._tried, "poll", self._others.hear, config, own)
            errors.attempt(self._carry, peers)
            if "poll" in self._faults:
                return  # each of the others would wait for the store again
            errors.attempt(self._tried, "sign", self._others.sign, config, own)
            errors.attempt(self._claim_spare)
            if self._others.is_missing_us or "keep" in self._faults:
                errors.attempt(self.keep)
            if self._others.is_anew or "network" in self._faults:
                errors.attempt(self.follow)
            if {"kernel", "underlay"} & {*self._faults}:
                errors.attempt(self.move)

    def publish(self) -> None:
        """Tell all nodes what is new, if that is this node's turn."""
        config, own = self.known()
        with self._in_state("publish"):
            self._others.publish(config, own)

    def close(self) -> None:
        """Let another node publish at once; the node stays in the network."""
        self._ways.close()
        self._others.close()
        self.store.close()
        self._store_of_asked.close()

    # Store and network are asked before the lock is taken: whoever waits for a block is
    # not to wait for a store that hangs.

    def keep(self) -> None:
        """Ensure that the store has all of this node; raises CNIError."""
        with self._in_state("keep"), store_refusal("be known to the store"):
            config, own = self.known()
            if not claims.is_kept(self.store, config, self._others.with_head(own)):
                with self._cache.locked():
                    self._keep(*self.known(), self.store)

    def follow(self) -> None:
        """Take over changes of the network from the store; raises CNIError."""
        with self._in_state("network"), store_refusal("follow the network"):
            found = self.store.get(keys.config(self.name), stale=True)
            with self._cache.locked():
                config, own = self.known()
                fresh = revision.of_network(config, own, found)
                if fresh != config:
                    self._cache.keep_config(fresh)

    def move(self) -> None:
        """Tell the others at which addresses this node is by now; raises CNIError."""
        with self._in_state("underlay"), store_refusal("follow the underlay"):
            if entry.moved(self._conf, *self.known()) is None:
                return
            with self._cache.locked():
                config, own = self.known()
                own = entry.moved(self._conf, config, own) or own
                claims.register(self.store, config, own)
                self._cache.keep_own(own)
                self._keep(config, own, self.store)
                self._ways.follow(config, own, self._cache.peers(config), self._tell)
        shown = ", ".join(str(each) for each in own.underlay)
        self._tell(f"network {self.name}: this node is at {shown} now")

    def more(self, version: int, seen: int) -> tuple[IPNetwork, ...]:
        """Return the blocks of a family, more than `seen`; one is claimed if need be.

        Raises CNIError where none can be.
        """
        return self._claim(version, seen, asked=True)

    @property
    def hindrance(self) -> str:
        """What keeps the node from what it does, as far as that is known."""
        return "; ".join(dict.fromkeys({**self._faults}.values()))

    def state(self) -> dict[str, Any]:
        """Return how the agent fares: seconds since it heard, and what goes wrong."""
        heard = self._others.heard
        return {
            "heard": heard and round(heard, 1),
            "publishes": self._others.publishes,
            "refused": {**self._others.refused},
            "faults": {**self._faults, **self._ways.faults()},
        }

    def _carry(self, peers: Mapping[str, NodeRecord] | None) -> None:
        """Ensure that disk and kernel know the others, `peers` where they are new."""
        with self._cache.locked(), Gather() as errors:
            config, own = self.known()  # who left meanwhile has nothing made again
            if self._ways.are_due or "own blocks" in self._faults:
                errors.attempt(self._hold, config, own)
            seen, ways = self._others.seen, self._ways
            errors.attempt(self._tried, "peers", ways.keep, peers, seen)
            follow = ways.follow
            errors.attempt(
                self._tried, "kernel", follow, config, own, peers, self._tell
            )

    def _hold(self, config: NetworkConfig, own: NodeRecord) -> None:
        """Ensure the file of the node's blocks; lost ones that nobody uses go."""
        with self._in_state("own blocks"):
            holding.write(config, own)
            for block in holding.remove_lost(config, own):
                self._tell(f"block {block} of {self.name} has no container here now")

    def _claim_spare(self) -> None:
        """Claim a block of each family of which none is without a lease."""
        config, own = self.known()
        lacking = holding.lacks_spare(config, own)
        with Gather() as errors:
            for pool in config.pools:
                version = pool.network.version
                doing = f"spare block of IPv{version}"
                if version in lacking:
                    errors.attempt(self._tried, doing, self._claim, version)
                else:
                    self._faults.pop(doing, None)

    def _claim(
        self, version: int, seen: int | None = None, *, asked: bool = False
    ) -> tuple[IPNetwork, ...]:
        store = self._store_of_asked if asked else self.store
        with self._cache.locked():
            config, own = self.known()
            present = holding.write(config, own).usable(version)
            lacks = entry.lacks_spare(self._cache, config, own, version)
            if len(present) > seen if seen is not None else not lacks:
                return present
            with store_refusal(f"claim a block of network {self.name}"):
                # Its record is not to say that all is there before it is.
                own = self._keep(config, own, store)
                own = entry.claim(store, self._cache, config, own, version)
            now = holding.write(config, own)
            with store_refusal(f"tell of a block of network {self.name}"):
                claims.put(store, config, own)
        return now.usable(version)

    def _keep(self, config: NetworkConfig, own: NodeRecord, store: Store) -> NodeRecord:
        kept = entry.keep(store, self._cache, config, self._others.with_head(own))
        for text in kept.written:
            self._tell(f"wrote {text} to the store, which did not have it")
        for block, node in kept.lost.items():
            self._tell(f"block {block} of {self.name} is node {node}'s now")
        return kept.own

    def _tried(self, doing: str, step: Callable[..., Any], *given: Any) -> Any:
        """Return what a step does; what goes wrong in it is in `state`."""
        with self._in_state(doing):
            return step(*given)

    @contextmanager
    def _in_state(self, doing: str) -> Iterator[None]:
        """Keep what goes wrong in the block in `state`, as long as it does."""
        try:
            yield
        except CNIError as error:
            self._faults[doing] = str(error)
            raise
        self._faults.pop(doing, None)
