# SPDX-License-Identifier: Apache-2.0
"""What nodes of a network share: keys with values, each written whole or not at all.

`interface` says what a store does; docs/many-nodes.md says how to run one.
"""

from __future__ import annotations

from cnipy.net.store.errors import AwayError, DeniedError, StoreError
from cnipy.net.store.interface import Changes, Entry, Lease, Store
from cnipy.net.store.settings import ETCD, Settings

__all__ = [
    "AwayError",
    "Changes",
    "DeniedError",
    "Entry",
    "Lease",
    "Settings",
    "Store",
    "StoreError",
    "open_store",
]


def open_store(settings: Settings, *, create: bool = False) -> Store:
    """Return the store that `settings` are of; nothing is asked of it yet.

    With `create`, a directory that is none yet becomes one. Raises StoreError.
    """
    if settings.kind == ETCD:
        from cnipy.net.store.etcd import EtcdStore  # noqa: PLC0415 - it imports OpenSSL

        return EtcdStore(settings)
    from cnipy.net.store.file_store import FileStore  # noqa: PLC0415 - one of the two

    return FileStore(settings.directory, create=create)
