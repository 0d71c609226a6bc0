# SPDX-License-Identifier: Apache-2.0
"""What leads to the head who begins now, or was away: the snapshot, and the steps.

Who follows has the last ones with the head and needs neither; so the publisher looks
after them, for nobody else would miss them.
"""

from __future__ import annotations

from cnipy.net import keys
from cnipy.net.documents import RecordError
from cnipy.net.membership import roll as rolls
from cnipy.net.membership.steps import Head, Step
from cnipy.net.store.mirror import Mirror

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cnipy.net.membership.roll import Roll
    from cnipy.net.store import Store


SNAPSHOT_STEPS = 100


class Trail:
    """Snapshot and steps of a network in the store. Every method raises StoreError."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._snapshot = Mirror(store, keys.snapshot(name))
        self._steps = Mirror(store, keys.steps(name))
        self._led_to: Head | None = None

    def is_lost(self, roll: Roll, generation: str) -> bool:
        """Tell whether it does not lead to the list that was published last.

        Where nothing was written since the last call it costs little.
        """
        head = Head(generation, roll.number, roll.digest)
        is_new = any([self._snapshot.refresh(), self._steps.refresh()])
        if not is_new and head == self._led_to:
            return False
        self._led_to = head if self._leads_to(head) else None
        return self._led_to is None

    def _leads_to(self, head: Head) -> bool:
        content = self._snapshot.values.get(keys.snapshot(self._name))
        try:
            begun = rolls.unpacked(content, self._name, head.generation)
        except RecordError:
            return False
        return begun.walk(rolls.steps_of(self._name, self._steps.values), head)

    def agreed(self, roll: Roll, step: Step) -> Step:
        """Return the step that the store has from `roll`, written if there is none."""
        key = keys.step(self._name, step.number)
        if self._store.create(key, step.content()):
            return step
        entry = self._store.get(key)
        try:
            present = Step.parse(entry.value, f"step {key}") if entry else step
        except RecordError:
            present = step
        if present.generation == step.generation and roll.copy().follow(present):
            return present  # of a publisher that was ended before the head
        self._store.put(key, step.content())
        return step

    def drop(self, roll: Roll) -> None:
        """Delete the steps that nobody needs beside a snapshot of `roll`, and those
        that lead beyond it.
        """
        first = max(0, roll.number - SNAPSHOT_STEPS)
        numbers = range(first + 1, roll.number + 1)
        needed = {keys.step(self._name, number) for number in numbers}
        for entry in self._store.list(keys.steps(self._name)):
            if entry.key not in needed:
                self._store.delete(entry.key, entry.revision)
