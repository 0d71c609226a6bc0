# SPDX-License-Identifier: Apache-2.0
"""What a store has below a prefix, kept at hand."""

from __future__ import annotations

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cnipy.net.store.interface import Store


class Mirror:
    """The values below `prefix`, by key, as of the last `refresh`."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._revision = 0
        self._era = ""
        self.values: dict[str, bytes] = {}

    def refresh(self) -> bool:
        """Read what the store has by now, and tell whether that is something else.

        Raises StoreError.
        """
        changes = self._store.changes(self._prefix, self._revision)
        went_back = changes.revision < self._revision or changes.era != self._era
        is_known = self._revision and not went_back
        if is_known and not changes.entries and changes.count == len(self.values):
            self._revision = changes.revision
            return False
        if self._revision and went_back:
            # Another store, or this one as it was once.
            changes = self._store.changes(self._prefix)
            values = {each.key: each.value for each in changes.entries}
        else:
            new = {each.key: each.value for each in changes.entries}
            values = {**self.values, **new}
        if len(values) != changes.count:
            listed = self._store.list(self._prefix)
            values = {each.key: each.value for each in listed}
        self._revision, self._era = changes.revision, changes.era
        differs, self.values = values != self.values, values
        return differs
