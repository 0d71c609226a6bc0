# SPDX-License-Identifier: Apache-2.0
"""What a node learns of the others: by polling the head.

Most often that has the number which is known, and all is done. A lower one is that of a
member of the store that lags behind, or of a store that was put back: it is ignored,
until the publisher has counted on from the highest that anybody saw, or the network was
made anew and has another generation.
"""

from __future__ import annotations

from cnipy.net import keys
from cnipy.net.membership.peers import Peers
from cnipy.net.membership.roll import Roll, reach
from cnipy.net.membership.steps import Head
from cnipy.net.records import NetworkConfig

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnipy.net.records import NodeRecord, RecordError
    from cnipy.net.store import Store


class Follower:
    """The other nodes of a network, as of the last poll.

    `seen` is the highest number of a head that this node knows of. `is_put_back` says
    that the store does not have that any more, and is to be told again what this node
    has; `vacant`, that nobody publishes. `config` is another one when the network was
    made anew. `own` may be replaced between polls.
    """

    def __init__(
        self, store: Store, config: NetworkConfig, own: NodeRecord, seen: int = 0
    ) -> None:
        self.store = store
        self.config = config
        self.own = own
        self.seen = seen
        self.is_put_back = False
        self.vacant = False
        self.roll = Roll()
        self._peers = Peers(config, own)
        self._of = own

    @property
    def peers(self) -> Mapping[str, NodeRecord]:
        """The nodes that are believed, by name."""
        return self._peers.records

    @property
    def refused(self) -> Mapping[str, RecordError]:
        """Why others are not believed, by name."""
        return self._peers.refused

    def poll(self) -> Mapping[str, NodeRecord] | None:
        """Return the nodes that are believed, or None where nothing is new.

        Raises StoreError, and RecordError if what the store has is nothing to go by;
        all is as before then.
        """
        head = self._head()
        if head is not None and head.generation != self.config.generation:
            head = head if self._take_config(head) else None
        elif head is None or head.number < self.seen:
            head = None
            self.is_put_back = self.seen > 0 and self._is_really_lower()
        if head is None:
            return None
        peers = self._follow(head)
        self.is_put_back = False
        self.seen = head.number
        return peers

    def _head(self) -> Head | None:
        name = self.config.name
        polled = self.store.list(keys.head(name), stale=True)
        found = {each.key: each.value for each in polled}
        self.vacant = keys.publisher(name) not in found
        content = found.get(keys.head(name))
        return None if content is None else Head.parse(content, name)

    def _is_really_lower(self) -> bool:
        """Tell whether not only the member lags behind that was asked."""
        entry = self.store.get(keys.head(self.config.name))
        if entry is None:
            return True
        return Head.parse(entry.value, self.config.name).number < self.seen

    def _take_config(self, head: Head) -> bool:
        """Have the configuration of a head's generation, if the store has it."""
        entry = self.store.get(keys.config(self.config.name))
        if entry is None:
            return False
        config = NetworkConfig.parse(entry.value, self.config.name)
        if config.generation != head.generation:
            return False  # the head is that of before
        self.config, self.roll = config, Roll()
        self._peers = Peers(config, self.own)
        return True

    def _follow(self, head: Head) -> Mapping[str, NodeRecord] | None:
        is_first = not self.roll.number
        later, nodes = self.roll, set[str]()
        if not later.is_at(head):
            later = reach(self.store, self.config.name, self.roll, head)
            nodes = later.differs(self.roll)
        if self.own != self._of:
            nodes |= later.documents.keys()
            self._peers, self._of = self._anew(), self.own
        self.roll = later
        news = bool(nodes) and self._peers.learn(nodes, later.documents)
        return dict(self.peers) if news or is_first else None

    def _anew(self) -> Peers:
        """Return what is believed beside this node's record as it is now."""
        made = Peers(self.config, self.own)
        made.learn(self.roll.documents, self.roll.documents)
        return made
