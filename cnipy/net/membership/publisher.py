# SPDX-License-Identifier: Apache-2.0
"""Who tells all nodes at once what is new: one of them, for as long as it holds a key.

It decides nothing. What it writes follows from what nodes wrote and claimed, so two at
once write the same; and the head is exchanged as it was, so that one which hung, and
comes back, writes nothing old. What somebody else wrote in its place is replaced as
soon as it is seen.
"""

from __future__ import annotations

import time
from contextlib import suppress

from cni_common.spec import json_text
from cnipy.net import keys
from cnipy.net.documents import RecordError
from cnipy.net.membership import claims
from cnipy.net.membership.forgetting import Forgetting
from cnipy.net.membership.roll import Roll, reach
from cnipy.net.membership.steps import Head, is_far
from cnipy.net.membership.trail import SNAPSHOT_STEPS, Trail
from cnipy.net.membership.written import Written

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnipy.net.membership.follower import Follower
    from cnipy.net.membership.steps import Step
    from cnipy.net.store import Lease, Store

OFFICE = 15  # seconds after which a publisher that hangs is none any more
KEEP = 5.0  # seconds
PACE = 0.95  # seconds between two heads, at least
EVERY = 600.0  # seconds after which everything is read anew
# Every node looks after its record once a minute, so that a store which was put back
# knows all of them before anybody is told that one is gone.
GRACE = 90.0  # seconds
SNAPSHOT_BYTES = 1 << 18


class Publisher:
    """This node as publisher of a network, when nobody else is.

    What is new goes as a step from the list that the head has. Where there is no such
    list, or the store was put back, everything goes at once: nobody is to take a part
    of it for the whole.

    `follower` is that of the same store: its polls say when nobody is. `clock` counts
    seconds, whatever time it is.
    """

    def __init__(
        self,
        store: Store,
        follower: Follower,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._follower = follower
        self._config = follower.config
        self._clock = clock
        self._lease: Lease | None = None
        self._kept = 0.0
        self._at: float | None = None
        self._read = 0.0
        self._looked = 0.0
        self._was_back = False
        self._roll: Roll | None = None
        self._published = Roll()
        self._revision = 0
        self._is_whole = False
        self._is_lost = False
        self._recent: list[Step] = []
        self._unpacked = 0
        self._put_back: float | None = None
        self._written = Written(store, follower.config)
        self._trail = Trail(store, follower.config.name)
        self._forgetting = Forgetting(store, follower.config, clock)

    @property
    def is_ours(self) -> bool:
        """Tell whether this node publishes."""
        return self._lease is not None

    @property
    def refused(self) -> Mapping[str, RecordError]:
        """Why nodes are not published, or not all of their blocks, by name."""
        return self._written.refused if self.is_ours else {}

    def turn(self) -> None:
        """Publish what is new, if this node is to; to be called every second.

        Raises StoreError, and RecordError if what the store has is nothing to go by.
        """
        now = self._clock()
        if not self._has_office(now) or (
            self._at is not None and now - self._at < PACE
        ):
            return
        self._at = now
        is_old = now - self._read >= EVERY or self._is_overwritten()
        if self._has_gone_back() or is_old:
            self._roll = None
        roll = self._roll or self._load(now)
        self._written.refresh()
        self._look_at_trail(roll, now)
        if self._waits(roll, now):
            return
        self._publish(roll)
        self._forgetting.turn(roll.documents, self._written.records)

    def close(self) -> None:
        """Let another node publish; raises StoreError."""
        lease, self._lease, self._roll = self._lease, None, None
        if lease:
            lease.end()

    def _has_gone_back(self) -> bool:
        """Tell whether the store was put back since the last turn."""
        before, self._was_back = self._was_back, self._follower.is_put_back
        return self._was_back and not before

    def _is_overwritten(self) -> bool:
        """Tell whether the head that nodes poll is later than the one written here."""
        return self._roll is not None and self._follower.revision > self._revision

    def _look_at_trail(self, roll: Roll, now: float) -> None:
        """Have all of the list be told anew where nobody new would come to it."""
        if not self._is_whole and now - self._looked >= KEEP:
            self._looked = now
            self._is_lost = self._trail.is_lost(roll, self._config.generation)

    def _is_over(self) -> bool:
        """Let another node publish, if there is one, of a network that is not as it is
        known here; tell whether it is not.
        """
        is_over = self._follower.is_left_behind()
        if is_over:
            self.close()
        return is_over

    def _has_office(self, now: float) -> bool:
        if self._lease:
            if now - self._kept < KEEP:
                return True
            self._kept = now
            if not self._is_over() and not self._lease.keep():
                self._lease = self._roll = None
            return self.is_ours
        if not self._follower.vacant or self._follower.is_left_behind():
            return False
        return self._take_office(now)

    def _take_office(self, now: float) -> bool:
        self._follower.vacant = False  # until the next poll says so again
        lease = self._store.lease(OFFICE)
        key = keys.publisher(self._config.name)
        me = claims.claimant_of(self._follower.own).content()
        former = self._store.get(key)
        if former and not former.is_leased:
            self._store.delete(key, former.revision)
        if not self._store.create(key, me, lease):
            lease.end()
            return False
        self._lease, self._kept, self._roll = lease, now, None
        return True

    def _load(self, now: float) -> Roll:
        """Return the list that the head has, from which the next step goes.

        Where no head of this network leads anywhere, it is what this node knows of. All
        that nodes wrote is read anew: a store that was put back may be as far by now as
        the one was that is known.
        """
        self._read = now
        self._written = Written(self._store, self._config)
        name = self._config.name
        entry = self._store.get(keys.head(name))
        self._revision = entry.revision if entry else 0
        self._recent, self._unpacked = [], SNAPSHOT_BYTES
        self._is_whole = True
        # Of its own head this node may not have heard yet.
        known = (self._follower.roll, self._published)
        roll = max(known, key=lambda each: each.number).copy()
        if entry:
            with suppress(RecordError):
                head = Head.parse(entry.value, name)
                if head.generation == self._config.generation:
                    roll = reach(self._store, name, roll, head)
                    self._recent = list(head.steps)
                    self._is_whole = False
                elif not is_far(roll.number, head.number):
                    roll.number = max(roll.number, head.number)  # it counts on
        self._roll = roll
        return roll

    def _waits(self, roll: Roll, now: float) -> bool:
        """Tell whether the store was put back, and nodes may not all be there again."""
        of_before = self._follower.roll.documents.keys() if self._is_whole else set()
        if self._counted() <= roll.number and not (
            of_before - self._written.records.keys() - self._written.refused.keys()
        ):
            return False
        # Once in a while: nobody is to hold up the others by what they say they saw.
        if self._put_back is None or now - self._put_back >= EVERY:
            self._put_back = now
        self._is_whole = True
        return now - self._put_back < GRACE

    def _counted(self, *numbers: int) -> int:
        """Return the highest number that a head had, by what this node and others saw,
        and of `numbers`, as far as one counts.
        """
        seen = self._follower.seen
        heard = (*numbers, *self._written.heads)
        return max([seen, *(each for each in heard if not is_far(seen, each))])

    def _wanted(self, roll: Roll) -> Roll:
        """Return the list as it is to be; a node that wrote what cannot be read stays
        what it was.
        """
        wanted = Roll()
        for node, record in self._written.records.items():
            wanted.put(node, record.document())
        for node in self._written.refused:
            if node in roll.documents and node not in wanted.documents:
                wanted.put(node, json_text.loads(roll.documents[node]))
        return wanted

    def _publish(self, roll: Roll) -> None:
        """Tell of what is new, if anything is: by a step, or by all of it at once."""
        wanted = self._wanted(roll)
        number = self._counted(roll.number) + 1
        changes = roll.changes_to(wanted)
        is_whole = self._is_whole or self._is_lost or number <= roll.number
        if not (changes or is_whole) or self._is_over():
            return
        self._roll = None  # if this ends early, what came of it is read
        if is_whole:
            wanted.number = number
            if self._write_snapshot(wanted) and self._write_head(wanted, []):
                self._trail.drop(wanted)
            return
        step = roll.step_to(number, self._config.generation, changes)
        step = self._trail.agreed(roll, step)
        if roll.follow(step) and self._write_head(roll, [*self._recent, step]):
            self._unpacked += len(step.content())
            late = roll.number % SNAPSHOT_STEPS == 0
            if (late or self._unpacked >= SNAPSHOT_BYTES) and self._write_snapshot(
                roll
            ):
                self._trail.drop(roll)

    def _write_head(self, roll: Roll, recent: list[Step]) -> bool:
        """Make a list known; false if somebody else published meanwhile."""
        recent = recent[-SNAPSHOT_STEPS:]
        head = Head(self._config.generation, roll.number, roll.digest, tuple(recent))
        key = keys.head(self._config.name)
        revision = self._write(key, head.content(), self._revision)
        if revision:
            self._revision, self._recent = revision, recent
            self._roll, self._is_whole, self._is_lost = roll, False, False
            self._published = roll.copy()
            self._follower.seen = max(self._follower.seen, roll.number)
        return bool(revision)

    def _write_snapshot(self, roll: Roll) -> bool:
        """Write a list as a whole, unless somebody else publishes by now."""
        name = self._config.name
        entry = self._store.get(keys.snapshot(name))
        head = self._store.get(keys.head(name))
        if (head.revision if head else 0) != self._revision:
            return False
        content = roll.pack(self._config.generation)
        revision = entry.revision if entry else 0
        self._unpacked = 0
        return bool(self._write(keys.snapshot(name), content, revision))

    def _write(self, key: str, value: bytes, revision: int) -> int:
        if revision:
            return self._store.cas(key, value, revision)
        return self._store.create(key, value)
