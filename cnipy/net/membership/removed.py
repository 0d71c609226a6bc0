# SPDX-License-Identifier: Apache-2.0
"""That a network was removed, and not lost by its store.

A node that was forgotten and lives would write it again, as after a backup that is put
back. Each generation has its own mark, which stays: a network that is made anew under
the name has another one.
"""

from __future__ import annotations

from cnipy.net import keys
from cnipy.net.documents import RecordError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cnipy.net.records import NetworkConfig
    from cnipy.net.store import Store


def mark(store: Store, config: NetworkConfig) -> None:
    """Mark this generation, which no node writes again; raises StoreError."""
    store.put(keys.removed(config.generation), config.name.encode())


def refuse(store: Store, config: NetworkConfig) -> None:
    """Raise RecordError where this generation was removed: for who is about to write
    something of a network. Raises StoreError.
    """
    if is_marked(store, config):
        cause = f"it was removed: `cnipy net leave {config.name}`"
        raise RecordError(f"network {config.name}", cause)


def is_marked(store: Store, config: NetworkConfig) -> bool:
    """Tell whether this generation was removed; raises StoreError."""
    return store.get(keys.removed(config.generation)) is not None
