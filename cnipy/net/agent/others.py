# SPDX-License-Identifier: Apache-2.0
"""The other nodes of a network, heard of by a store, and told of what is new."""

from __future__ import annotations

import time
from contextlib import suppress

from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import replace
from cnipy.net.membership.follower import Follower
from cnipy.net.membership.forgetting import Sign
from cnipy.net.membership.publisher import Publisher
from cnipy.net.refusal import store_refusal

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnipy.net.cache import Cache
    from cnipy.net.records import NetworkConfig, NodeRecord
    from cnipy.net.store import Store


class Others:
    """The others as this node knows them; `refused` are those that it, or the publisher
    that it is, does not believe, and why.
    """

    def __init__(self, store: Store, cache: Cache, tell: Callable[[str], None]) -> None:
        self._store = store
        self._cache = cache
        self._tell = tell
        self._follower: Follower | None = None
        self._publisher: Publisher | None = None
        self._sign: Sign | None = None
        self._heard: float | None = None
        self.refused: dict[str, str] = {}

    def hear(
        self, config: NetworkConfig, own: NodeRecord
    ) -> Mapping[str, NodeRecord] | None:
        """Return those that are believed, None where nothing is new; tell who is not.

        Raises CNIError.
        """
        follower = self._followed(config, own)
        with store_refusal(f"hear of the others in network {config.name}"):
            peers = follower.poll()
        self._heard = time.monotonic()
        unpublished = self._publisher.refused if self._publisher else {}
        every = {**unpublished, **follower.refused}
        now = {node: str(error) for node, error in every.items()}
        for node in now.keys() - self.refused.keys():
            self._tell(f"network {config.name}: refused {now[node]}")
        self.refused = now
        return peers

    def hear_first(
        self, config: NetworkConfig, own: NodeRecord
    ) -> Mapping[str, NodeRecord] | None:
        """Return what `hear` does, None where what is told is nothing to go by: they
        are heard of when it is told anew. Raises Code.TRY_AGAIN_LATER.
        """
        try:
            return self.hear(config, own)
        except CNIError as error:
            if error.code == Code.TRY_AGAIN_LATER:
                raise
            self._tell(str(error))
        return None

    def publish(self, config: NetworkConfig, own: NodeRecord) -> None:
        """Tell all nodes what is new, if that is this node's turn; raises CNIError."""
        follower = self._followed(config, own)
        if self._publisher is None:
            self._publisher = Publisher(self._store, follower)
        with store_refusal("publish"):
            self._publisher.turn()

    def sign(self, config: NetworkConfig, own: NodeRecord) -> None:
        """Give a sign of life, where who gives none is forgotten; raises CNIError."""
        self._followed(config, own)
        self._sign = self._sign or Sign(self._store, config, time.monotonic)
        with store_refusal("give a sign of life"):
            self._sign.turn(own)

    def close(self) -> None:
        """Let another node publish at once."""
        if self._publisher is not None:
            with suppress(CNIError), store_refusal("publish"):
                self._publisher.close()

    @property
    def publishes(self) -> bool:
        """Whether it is this node's turn to tell all others what is new."""
        return self._publisher is not None and self._publisher.is_ours

    @property
    def heard(self) -> float | None:
        """How many seconds ago the store was heard of, None for never."""
        return None if self._heard is None else time.monotonic() - self._heard

    @property
    def seen(self) -> int:
        """The highest number of a head that this node knows of."""
        return self._follower.seen if self._follower else 0

    @property
    def is_put_back(self) -> bool:
        """Whether the store has less than this node knows of."""
        return self._follower is not None and self._follower.is_put_back

    @property
    def is_missing_us(self) -> bool:
        """Whether the store has less than this node knows of, or not this node."""
        return self._follower is not None and self._follower.is_missing_us

    @property
    def is_anew(self) -> bool:
        """Whether the network has another generation by now."""
        return self._follower is not None and self._follower.is_anew

    def with_head(self, own: NodeRecord) -> NodeRecord:
        """Return the record as a store that was put back is to have it: with the number
        of the head that it had, from which to count on.
        """
        seen = self.seen if self.is_put_back else 0
        return replace(own, head=max(own.head, seen))

    def _followed(self, config: NetworkConfig, own: NodeRecord) -> Follower:
        """Return who follows the network as it is; of another one it begins anew."""
        if self._follower is None or self._follower.config != config:
            self.close()
            self._publisher = self._sign = None
            self._follower = Follower(self._store, config, own, self._cache.seen())
        self._follower.own = own
        return self._follower
