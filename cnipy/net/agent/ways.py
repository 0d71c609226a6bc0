# SPDX-License-Identifier: Apache-2.0
"""The ways to the other nodes of a network, as this node's kernel is to have them."""

from __future__ import annotations

import time

from cnipy.net import dataplane
from cnipy.net.dataplane import Outcome
from cnipy.net.dataplane.watch import Watch

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnipy.net.cache import Cache
    from cnipy.net.records import NetworkConfig, NodeRecord

_AGAIN = (
    60.0  # seconds between two looks at the kernel where nothing is known to change
)
_SHOWN = 3  # ways that a fault names


class Ways:
    """Has the kernel lead to the others that `cache` knows of."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._watch: Watch | None = None
        self._applied: float | None = None
        self._lacking: Sequence[str] = ()

    @property
    def are_due(self) -> bool:
        """Whether nobody has looked at the kernel for long."""
        return self._applied is None or time.monotonic() - self._applied > _AGAIN

    def are_disturbed(self, config: NetworkConfig, own: NodeRecord) -> bool:
        """Tell, without waiting, whether somebody may have taken one; see `Watch`."""
        self._watch = self._watch or Watch()
        return self._watch.is_disturbed(config, own)

    def apply(
        self, config: NetworkConfig, own: NodeRecord, *, thorough: bool = False
    ) -> Outcome:
        """Have the kernel know the others, unless it is not known who they are.

        Raises CNIError, as `dataplane.apply` does.
        """
        peers = self._cache.peers(config)
        if peers is None:
            return Outcome()
        outcome = dataplane.apply(config, own, peers.values(), thorough=thorough)
        self._applied = time.monotonic()
        return outcome

    def follow(
        self, config: NetworkConfig, own: NodeRecord, tell: Callable[[str], None]
    ) -> None:
        """The same, and tell once who has no way from here, or another one than ours.

        The former are `faults` until there is one. Raises CNIError.
        """
        outcome = self.apply(config, own)
        new = [each for each in outcome.lacking if each not in self._lacking]
        self._lacking = outcome.lacking
        for text in (*new, *outcome.outrun):
            tell(f"network {config.name}: {text}")

    def faults(self) -> dict[str, str]:
        """Return who has no way from here, and why; nothing where all have one."""
        lacking = self._lacking
        more = f"; and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        return {"ways": "; ".join(lacking[:_SHOWN]) + more} if lacking else {}

    def close(self) -> None:
        """Hear nothing more of the kernel."""
        if self._watch is not None:
            self._watch.close()
