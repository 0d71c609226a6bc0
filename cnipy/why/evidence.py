# SPDX-License-Identifier: Apache-2.0
"""What was seen of a probe, in all namespaces that it passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.values import dataclass
from cnipy.why.leg import Trail, trail

if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress
    from cnipy.why.flow import Flow, Goal
    from cnipy.why.place import Place
    from cnipy.why.probe import Outcome


@dataclass(frozen=True)
class Evidence:
    """What was seen of a probe, and what its sender heard.

    source: None for somebody outside; target: who is to get it, None where that is
    nobody's of this node; rules: those that it met, as nft printed them.
    """

    flow: Flow
    outcome: Outcome
    source: Place | None
    host: Place
    target: Place | None
    rules: dict[tuple[str, str, str, str, int], str]

    @property
    def goal(self) -> Goal:
        """Where the packet was to go."""
        return self.flow.goal

    @property
    def places(self) -> list[Place]:
        """The namespaces on the way, each once."""
        found = {p.identity: p for p in (self.source, self.host, self.target) if p}
        return list(found.values())

    def others(self, place: Place) -> list[Place]:
        """Return the places beside one."""
        return [each for each in self.places if each is not place]

    def trail(self, place: Place, *, request: bool = True) -> Trail:
        """Return what a place has of one way."""
        return trail(place, self.flow, request=request)

    @property
    def final(self) -> IPAddress:
        """The address that the packet was for when it was seen last, on the host."""
        seen = self.trail(self.host)
        told = [e.destination for e in seen.events if e.destination is not None]
        told += [each.destination for each in seen.went_out]
        return told[-1] if told else self.goal.address

    def is_source(self, place: Place) -> bool:
        """Tell whether the packet was sent from a place."""
        return self.source is not None and place.identity == self.source.identity

    def is_host(self, place: Place) -> bool:
        """Tell whether a place is the host."""
        return place.identity == self.host.identity
