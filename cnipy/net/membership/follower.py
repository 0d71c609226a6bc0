# SPDX-License-Identifier: Apache-2.0
"""What a node learns of the others: by polling the head.

Most often that has the number which is known, and all is done. A lower one is that of a
member of the store that lags behind, or of a store that was put back: it is ignored,
until the publisher has counted on from the highest that anybody saw, or the network was
made anew and has another generation. A number to which nobody counts is not remembered,
so that there are others after it.
"""

from __future__ import annotations

from cnipy.net import keys
from cnipy.net.documents import RecordError
from cnipy.net.membership import removed
from cnipy.net.membership.peers import Peers
from cnipy.net.membership.roll import Roll, reach
from cnipy.net.membership.steps import Head, is_far
from cnipy.net.records import NetworkConfig

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnipy.net.records import NodeRecord
    from cnipy.net.store import Store


class Follower:
    """The other nodes of a network, as of the last poll.

    `seen` is the highest number of a head that this node knows of. `is_put_back` says
    that the store does not have that any more, and is to be told again what this node
    has; `is_anew`, that the network has another generation by now, and nothing is heard
    until there is a follower of that; `vacant`, that nobody publishes. `revision` is
    that of the head which was polled, whatever it has. `own` may be replaced between
    polls.
    """

    def __init__(
        self, store: Store, config: NetworkConfig, own: NodeRecord, seen: int = 0
    ) -> None:
        self.store = store
        self.config = config
        self.own = own
        self.seen = seen
        self.is_put_back = False
        self.is_anew = False
        self.vacant = False
        self.revision = 0
        self.roll = Roll()
        self._peers = Peers(config, own)
        self._of = own

    @property
    def is_missing_us(self) -> bool:
        """Whether the store has less than this node knows of, or not this node."""
        is_left_out = self.roll.number and self.own.node not in self.roll.documents
        return bool(is_left_out) or self.is_put_back

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
        is_ours = head is None or head.generation == self.config.generation
        self.is_anew = not is_ours and self.is_left_behind()
        if head is None or not is_ours or self._is_of_before(head):
            is_lower = is_ours and self.seen > 0
            self.is_put_back = is_lower and self._is_really_lower()
            return None
        peers = self._follow(head)
        self.is_put_back = False
        if head.number < self.seen or not is_far(self.seen, head.number):
            self.seen = head.number
        return peers

    def is_left_behind(self) -> bool:
        """Tell whether the network has another generation than this node knows, or is
        removed. A configuration that is none says neither.

        Raises StoreError.
        """
        entry = self.store.get(keys.config(self.config.name))
        if entry is None:
            return removed.is_marked(self.store, self.config)
        try:
            config = NetworkConfig.parse(entry.value, self.config.name)
        except RecordError:
            return False
        return config.generation != self.config.generation

    def _head(self) -> Head | None:
        name = self.config.name
        polled = self.store.list(keys.head(name), stale=True)
        found = {each.key: each for each in polled}
        office = found.get(keys.publisher(name))
        # What has no lease, as in a copy of a store, would never end.
        self.vacant = office is None or not office.is_leased
        entry = found.get(keys.head(name))
        self.revision = entry.revision if entry else 0
        return None if entry is None else Head.parse(entry.value, name)

    def _is_of_before(self, head: Head) -> bool:
        return head.number < self.seen and not is_far(self.seen, head.number)

    def _is_really_lower(self) -> bool:
        """Tell whether not only the member lags behind that was asked."""
        entry = self.store.get(keys.head(self.config.name))
        if entry is None:
            return True
        return Head.parse(entry.value, self.config.name).number < self.seen

    def _follow(self, head: Head) -> Mapping[str, NodeRecord] | None:
        is_first = not self.roll.number
        later, nodes = self.roll, set[str]()
        if not later.is_at(head):
            later = reach(self.store, self.config.name, self.roll, head)
            nodes = later.differs(self.roll)
        news = self._peers.learn(nodes, later.documents) if nodes else False
        if self.own != self._of:
            news |= self._peers.be(self.own, later.documents)
        self.roll, self._of = later, self.own
        return dict(self.peers) if news or is_first else None
