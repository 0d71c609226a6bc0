# SPDX-License-Identifier: Apache-2.0
"""MACs of attachments as elements of a table of nftables, each on record.

/run/cni/cnipy/<room>/<name> says MAC and owner; an element's comment says the owner,
so that the records are read back when they are lost. The table is there as long as it
knows anybody.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from cni_common import naming, own_tables, shapes, state
from cni_common.kernel import nft
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any

    from cni_common.kernel.own_table import Elements, OwnTable
    from cni_common.own_tables import Listed
    from cni_common.shapes import Table

_MEMBER: Table = {
    "mac": (shapes.mac, shapes.REQUIRED),
    "owner": (shapes.text, ""),
}


@dataclass(frozen=True)
class KnownMacs:
    """A `table`, and how a member of it is written.

    `elements` returns those of a member's name, MAC and owner, one in each set;
    `member` returns name and MAC from an element of the set `told_by`.
    """

    table: OwnTable
    room: str
    elements: Callable[[str, str, str], Elements]
    told_by: str
    member: Callable[[Listed], tuple[str, str]]

    def ensure(self, name: str, mac: str, owner: Attachment) -> None:
        """Have the table know `mac` as that of `name`.

        Raises code 999 and knows nothing more when nft refuses. What the kernel may
        have taken nevertheless is for `release` to take back.
        """
        with self._lock():
            directory = state.ensure_directory(self.room)
            whose = naming.comment(owner)
            state.write(directory, name, {"mac": mac, "owner": whose})
            try:
                self._change(name, {}, self.elements(name, mac, whose))
            except CNIError as error:
                if nft.nothing_done(error):
                    state.delete(directory, name)
                raise

    def rebind(self, name: str, mac: str, owner: Attachment) -> None:
        """Have `name`, if it is known and of `owner`, known by `mac` and no other.

        Raises code 999 and leaves it as it was when nft refuses.
        """
        if not self._is_on_record(name) and not own_tables.is_lost(self.table.name):
            return
        with self._lock():
            member, whose = self._member(name), naming.comment(owner)
            if member is None or member["owner"] != whose or member["mac"] == mac:
                return
            directory, old = state.path(self.room), member["mac"]
            state.write(directory, name, {**member, "mac": mac})
            had = self.elements(name, old, whose)
            try:
                self._change(name, had, self.elements(name, mac, whose))
            except CNIError as error:
                if nft.nothing_done(error):
                    state.write(directory, name, member)
                raise

    def release(self, name: str) -> None:
        """Have nothing of `name` in the table. Raises code 999."""
        with self._lock():
            # The rules go first, because a call that failed or was killed is repeated.
            if self._is_on_record(name):
                self._release(name, (self._member(name) or {}).get("mac", ""))
            state.delete(state.path(self.room), name)  # or a killed ADD's draft

    def collect(self, network: str, valid: Collection[tuple[str, str]]) -> None:
        """Have nothing of an attachment of `network` that is none of `valid`."""
        kept = {naming.comment(Attachment(network, *identity)) for identity in valid}
        with self._lock():
            names = state.names(state.path(self.room))
            members = {name: self._member(name) for name in names}
        for name, member in members.items():
            owner = member["owner"] if member else ""
            if owner.startswith(f"{network} ") and owner not in kept:
                self.release(name)

    def has(self, name: str, mac: str) -> bool:
        """Tell whether the table is whole and knows `mac` as that of `name`."""
        return not self.table.missing(self.elements(name, mac, ""), thorough=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the lock; what the elements tell is on record again if it was lost."""
        with state.lock(self.room):
            if own_tables.is_lost(self.table.name):
                self._recall(nft.list_json(f"list table {self.table.name}"))
                own_tables.remember(self.table.name)
            yield

    def _recall(self, listed: list[dict[str, Any]]) -> None:
        directory = state.ensure_directory(self.room)
        for element in own_tables.elements(listed, self.told_by):
            name, mac = self.member(element)
            if state.read(directory, name) is None:
                state.write(directory, name, {"mac": mac, "owner": element.comment})

    def _change(self, name: str, before: Elements, after: Elements) -> None:
        relied = {self.table: self._of_another(name)}
        transaction = self.table.change(before, after)
        own_tables.change(transaction, relied, lambda: self._rebuilt(after))

    def _of_another(self, name: str) -> Elements:
        """Return the elements of some other member; of none where there is none."""
        found: Elements = {}

        def look(other: str) -> Elements:
            if other != name:
                found.update(self._elements_of(other))
            return found

        state.any_name(state.path(self.room), look)
        return found

    def _release(self, name: str, mac: str) -> None:
        """Have no element of `name`; where its MAC is lost, by making others anew."""
        if not self._of_another(name):
            own_tables.remove(self.table.name)
        elif mac:
            self._delete(self.elements(name, mac, ""))
        else:
            nft.run(self._rebuilt({}))

    def _delete(self, elements: Elements) -> None:
        try:
            nft.run(self.table.change(elements, {}))
        except nft.RefusedError as refused:
            if not refused.is_missing:
                raise

    def _rebuilt(self, more: Elements) -> str:
        """Return the transaction that makes the table anew with all on record."""
        every: Elements = {}
        for name in state.names(state.path(self.room)):
            every |= self._elements_of(name)
        return self.table.rebuilt(every | more)

    def _elements_of(self, name: str) -> Elements:
        member = self._member(name)
        return self.elements(name, member["mac"], member["owner"]) if member else {}

    def _is_on_record(self, name: str) -> bool:
        return os.path.lexists(state.path(self.room, name))

    def _member(self, name: str) -> dict[str, Any] | None:
        """Return MAC and owner that are written down for `name`, if anything is."""
        return state.read_table(state.path(self.room), name, _MEMBER)
