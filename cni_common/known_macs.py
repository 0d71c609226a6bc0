# SPDX-License-Identifier: Apache-2.0
"""MACs of attachments as elements of a table of nftables, each on record.

/run/cni/cnipy/<room>/<name> says MAC and owner; an element's comment says the owner,
so that the records are read back when they are lost. The table is there as long as it
knows anybody.
"""

from __future__ import annotations

import os

from cni_common import naming, own_tables, shapes, state
from cni_common.kernel import nft
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager
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
        """Ensure that the table knows `mac` as that of `name`.

        Raises Code.INTERNAL and knows nothing more when nft refuses. What the kernel
        may have taken nevertheless is for `release` to take back.
        """
        with self._lock():
            self._put(name, None, {"mac": mac, "owner": naming.comment(owner)})

    def rebind(self, name: str, mac: str, owner: Attachment) -> None:
        """Set the MAC of `name` to `mac`, if it is known and of `owner`.

        Raises Code.INTERNAL and leaves it as it was when nft refuses.
        """
        if not self._is_on_record(name) and not own_tables.is_lost(self.table.name):
            return
        with self._lock():
            member, whose = self._member(name), naming.comment(owner)
            if member is None or member["owner"] != whose or member["mac"] == mac:
                return
            self._put(name, member, {**member, "mac": mac})

    def known(self, name: str) -> str:
        """Return the MAC that is written down for `name`, or nothing."""
        return str((self._member(name) or {"mac": ""})["mac"])

    def release(
        self, name: str, owner: Attachment | None = None, *, expected: bool = False
    ) -> None:
        """Remove what the table has of `name`; raises Code.INTERNAL.

        What is known to be of somebody else than `owner` stays. Where something is
        `expected` and nothing on record, the elements are asked for it.
        """
        with self._lock():
            is_missing = expected and not self._is_on_record(name)
            if is_missing and own_tables.exists(self.table.name):
                self._recall()
            member = self._member(name) if owner else None
            if owner and member and member["owner"] != naming.comment(owner):
                return
            # The rules go first, because a call that failed or was killed is repeated.
            if self._is_on_record(name):
                others = self._others(name)
                own_tables.take(
                    self.table,
                    self._elements_of(name),
                    lambda: self.table.rebuilt(self._others(name, some=False)),
                    last=not others,
                )
            state.delete(state.path(self.room), name)  # or a killed ADD's draft

    def collect(self, network: str, valid: Collection[tuple[str, str]]) -> None:
        """Remove what is of attachments of `network` that are none of `valid`.

        And the table, if nobody has anything in it.
        """
        kept = {naming.comment(Attachment(network, *identity)) for identity in valid}
        with self._lock():
            names = state.names(state.path(self.room))
            owners = {n: (self._member(n) or {"owner": ""})["owner"] for n in names}
        for name, owner in owners.items():
            if owner.startswith(f"{network} ") and owner not in kept:
                self.release(name)
        with self._lock():
            if not self._others("") and own_tables.exists(self.table.name):
                own_tables.remove(self.table.name)

    def has(self, name: str, mac: str) -> bool:
        """Tell whether the table is whole and knows `mac` as that of `name`."""
        return not self.table.missing(self.elements(name, mac, ""), thorough=True)

    def _lock(self) -> AbstractContextManager[None]:
        """Hold the lock; what the elements tell is on record again if it was lost."""
        return own_tables.lock(self.room, [self.table.name], self._recall)

    def _recall(self) -> None:
        listed = nft.list_json(f"list table {self.table.name}")
        directory = state.ensure_directory(self.room)
        for element in own_tables.elements(listed, self.told_by):
            name, mac = self.member(element)
            if state.read(directory, name) is None:
                state.write(directory, name, {"mac": mac, "owner": element.comment})
        own_tables.remember(self.table.name)

    def _put(
        self, name: str, before: dict[str, Any] | None, after: dict[str, Any]
    ) -> None:
        """Record `after` of `name`, or what was `before` when nft refuses."""
        directory = state.ensure_directory(self.room)
        state.write(directory, name, after)
        had, has = self._of(name, before) if before else {}, self._of(name, after)
        try:
            own_tables.change(
                self.table.change(had, has),
                {self.table: self._others(name)},
                lambda: self.table.rebuilt(self._others(name, some=False) | has),
            )
        except CNIError as error:
            if nft.nothing_done(error):
                if before:
                    state.write(directory, name, before)
                else:
                    state.delete(directory, name)
            raise

    def _others(self, name: str, *, some: bool = True) -> Elements:
        """Return the elements of all members but `name`, or of one if that will do."""
        found: Elements = {}

        def add(other: str) -> bool:
            if other != name:
                found.update(self._elements_of(other))
            return some and bool(found)

        state.any_name(state.path(self.room), add)
        return found

    def _elements_of(self, name: str) -> Elements:
        found = self._member(name) or {"mac": ""}
        return self._of(name, found) if found["mac"] else {}

    def _of(self, name: str, member: dict[str, Any]) -> Elements:
        return self.elements(name, member["mac"], member["owner"])

    def _is_on_record(self, name: str) -> bool:
        return os.path.lexists(state.path(self.room, name))

    def _member(self, name: str) -> dict[str, Any] | None:
        """Return MAC and owner that are written down for `name`, if anything is."""
        return state.read_table(state.path(self.room), name, _MEMBER)
