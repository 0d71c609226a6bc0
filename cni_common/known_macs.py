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

    from cni_common.own_tables import Element
    from cni_common.shapes import Table

_MEMBER: Table = {
    "mac": (shapes.mac, shapes.REQUIRED),
    "owner": (shapes.text, ""),
}


@dataclass(frozen=True)
class KnownMacs:
    """A `table`, and how a member of it is written.

    `elements` returns commands from a verb, a member's name, its MAC and its owner;
    `member` returns name and MAC from an element of the set `told_by`.
    """

    table: str
    room: str
    declaration: str
    elements: Callable[[str, str, str, str], str]
    told_by: str
    member: Callable[[Element], tuple[str, str]]

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
                added = self.elements("add", name, mac, whose)
                self._change(added, lambda: self._rebuilt() + added)
            except CNIError as error:
                if nft.nothing_done(error):
                    state.delete(directory, name)
                raise

    def rebind(self, name: str, mac: str, owner: Attachment) -> None:
        """Have `name`, if it is known and of `owner`, known by `mac` and no other.

        Raises code 999 and leaves it as it was when nft refuses.
        """
        if not self._is_on_record(name) and not own_tables.is_lost(self.table):
            return
        with self._lock():
            member, whose = self._member(name), naming.comment(owner)
            if member is None or member["owner"] != whose or member["mac"] == mac:
                return
            directory, old = state.path(self.room), member["mac"]
            state.write(directory, name, {**member, "mac": mac})
            moved = self._deletion(name, old) + self.elements("add", name, mac, whose)
            try:
                self._change(moved, self._rebuilt)
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

    def listed(self) -> list[dict[str, Any]]:
        """Return what the kernel has of the table."""
        try:
            return nft.list_json(f"list table {self.table}")
        except nft.RefusedError:
            return []

    def has_rules(self, listed: list[dict[str, Any]]) -> bool:
        """Tell whether all rules are among what is `listed`."""
        rules = sum("rule" in item for item in listed)
        return rules == self.declaration.count("add rule")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the lock; what the elements tell is on record again if it was lost."""
        with state.lock(self.room):
            if own_tables.is_lost(self.table):
                self._recall(nft.list_json(f"list table {self.table}"))
                own_tables.remember(self.table)
            yield

    def _recall(self, listed: list[dict[str, Any]]) -> None:
        directory = state.ensure_directory(self.room)
        for element in own_tables.elements(listed, self.told_by):
            name, mac = self.member(element)
            if state.read(directory, name) is None:
                state.write(directory, name, {"mac": mac, "owner": element.comment})

    def _change(self, transaction: str, rebuilt: Callable[[], str]) -> None:
        own_tables.change(transaction, {self.table: self.declaration}, rebuilt)

    def _release(self, name: str, mac: str) -> None:
        """Have no element of `name`; where its MAC is lost, by making others anew."""
        directory = state.path(self.room)
        if not state.any_name(directory, lambda n: n != name and self._member(n)):
            own_tables.remove(self.table)
        elif mac:
            self._delete(name, mac)
        else:
            nft.run(self._rebuilt())

    def _delete(self, name: str, mac: str) -> None:
        try:
            nft.run(self._deletion(name, mac))
        except nft.RefusedError as refused:
            if not refused.is_missing:
                raise

    def _deletion(self, name: str, mac: str) -> str:
        # Adding first makes it harmless that somebody has deleted them already.
        return self.elements("add", name, mac, "") + self.elements(
            "delete", name, mac, ""
        )

    def _rebuilt(self) -> str:
        """Return the transaction that makes the table anew with all on record."""
        transaction = self.declaration
        for name in state.names(state.path(self.room)):
            member = self._member(name)
            if member:
                mac, owner = member["mac"], member["owner"]
                transaction += self.elements("add", name, mac, owner)
        return transaction

    def _is_on_record(self, name: str) -> bool:
        return os.path.lexists(state.path(self.room, name))

    def _member(self, name: str) -> dict[str, Any] | None:
        """Return MAC and owner that are written down for `name`, if anything is."""
        return state.read_table(state.path(self.room), name, _MEMBER)
