# SPDX-License-Identifier: Apache-2.0
"""The ways to the other nodes of a network, as this node's kernel is to have them."""

from __future__ import annotations

import time

from cni_common.frame.rollback import Gather
from cni_common.spec.errors import CNIError
from cnipy.net import dataplane
from cnipy.net.agent import guard
from cnipy.net.dataplane import Outcome
from cnipy.net.dataplane.watch import Watch

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnipy.net.cache import Cache
    from cnipy.net.records import NetworkConfig, NodeRecord

_LOOK = 60.0  # seconds between two looks at the kernel where nothing is known to change
_SOON = 1.0  # the same where a way is lacking; twice as long each time that it is still
_SHOWN = 3  # ways that a fault names


class Ways:
    """Has the kernel lead to the others that `cache` knows of, and keeps the network
    apart there.

    Whoever calls has the network's lock.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._watch: Watch | None = None
        self._looked: float | None = None
        self._pause = _LOOK
        self._lacking: Sequence[str] = ()
        self._unkept: tuple[Mapping[str, NodeRecord], int] | None = None

    def keep(self, peers: Mapping[str, NodeRecord] | None, seen: int) -> None:
        """Write `peers` to the disk, if they are new, and `seen` with them.

        Raises CNIError; what the disk did not take is known all the same, and the next
        call tries again.
        """
        if peers is not None:
            self._unkept = peers, seen
        if self._unkept is not None:
            self._cache.keep_peers(*self._unkept)
            self._unkept = None

    @property
    def are_due(self) -> bool:
        """Whether nobody has looked at the kernel for long, or what was to be done
        failed.
        """
        return self._looked is None or time.monotonic() - self._looked > self._pause

    def follow(
        self,
        config: NetworkConfig,
        own: NodeRecord,
        peers: Mapping[str, NodeRecord] | None,
        tell: Callable[[str], None],
    ) -> None:
        """Ensure the ways to `peers`, None if these are not new; see `keep`.

        What nobody disturbed is believed to be there, for a minute at most. Who has no
        way from here, or another one than ours, is told once, and the former are
        `faults` until there is one. Raises CNIError, which is a fault as well, and the
        next call tries again.
        """
        try:
            outcome = self._followed(config, own, peers)
        except CNIError as error:
            self._lacking, self._looked = [str(error)], None
            raise
        if outcome is None:
            return
        new = [each for each in outcome.lacking if each not in self._lacking]
        if not outcome.lacking:
            self._pause = _LOOK
        elif new:
            self._pause = _SOON
        else:
            self._pause = min(2 * self._pause, _LOOK)
        self._lacking = outcome.lacking
        for text in (*new, *outcome.outrun):
            tell(f"network {config.name}: {text}")

    def _followed(
        self,
        config: NetworkConfig,
        own: NodeRecord,
        peers: Mapping[str, NodeRecord] | None,
    ) -> Outcome | None:
        self._watch = self._watch or Watch()
        is_disturbed = self._watch.is_disturbed(config, own)
        if self.are_due:
            return self.ensure(config, own)
        if is_disturbed or peers is not None:
            return self._apply(config, own, peers)
        return None

    def ensure(
        self, config: NetworkConfig, own: NodeRecord, *, thorough: bool = False
    ) -> Outcome:
        """Ensure rules and ways, whatever is there; return what came of the ways.

        Neither keeps the other from being tried. Raises CNIError, as `dataplane.apply`
        does.
        """
        if self._watch:
            self._watch.there = None
        with Gather() as errors:
            errors.attempt(guard.ensure, config)
            outcome: Outcome = errors.attempt(
                self._apply, config, own, None, thorough=thorough
            )
        self._looked = time.monotonic()
        return outcome

    def faults(self) -> dict[str, str]:
        """Return who has no way from here, or why nobody has; nothing if all have."""
        lacking = self._lacking
        more = f"; and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        return {"ways": "; ".join(lacking[:_SHOWN]) + more} if lacking else {}

    def close(self) -> None:
        """Hear nothing more of the kernel."""
        if self._watch is not None:
            self._watch.close()

    def _apply(
        self,
        config: NetworkConfig,
        own: NodeRecord,
        peers: Mapping[str, NodeRecord] | None,
        *,
        thorough: bool = False,
    ) -> Outcome:
        """Ensure the ways to the others, unless it is not known who they are."""
        if peers is None:
            peers = self._unkept[0] if self._unkept else self._cache.peers(config)
        if peers is None:
            return Outcome()
        watch = self._watch
        return dataplane.apply(config, own, peers.values(), watch, thorough=thorough)
