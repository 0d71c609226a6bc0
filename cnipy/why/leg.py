# SPDX-License-Identifier: Apache-2.0
"""One way of a flow through a place: which links had it, and which hooks it passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.kernel import injection
from cni_common.kernel.stations import FIRST, LAST, PREFIX
from cni_common.spec.values import dataclass

if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.nft_trace import Event
    from cni_common.kernel.sightings import Sighting
    from cni_common.spec.fields import IPAddress
    from cnipy.why.flow import Flow
    from cnipy.why.place import Place


@dataclass(frozen=True)
class Trail:
    """What one place has of the request, or of the answer, in order."""

    place: Place
    events: tuple[Event, ...]
    sightings: tuple[Sighting, ...]

    def passed(self, hook: str, family: str = "inet", *, which: str = LAST) -> bool:
        """Tell whether the packet came to the last of our chains at a hook."""
        wanted = f"{hook}_{which}"
        return any(e.family == family and e.chain == wanted for e in self._own)

    def reached(self, hook: str, family: str = "inet") -> bool:
        """Tell whether the packet came to the first of our chains at a hook."""
        return self.passed(hook, family, which=FIRST)

    @property
    def _own(self) -> list[Event]:
        return [event for event in self.events if event.table.startswith(PREFIX)]

    @property
    def drop(self) -> Event | None:
        """The rule, or the policy, that dropped the packet."""
        return next((e for e in self.events if e.verdict == "drop"), None)

    @property
    def came_in(self) -> list[Sighting]:
        """Where it came in."""
        return [seen for seen in self.sightings if not seen.out]

    @property
    def went_out(self) -> list[Sighting]:
        """Where it went out."""
        return [seen for seen in self.sightings if seen.out]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was seen at all."""
        return not self.events and not self.sightings

    @property
    def first_link(self) -> Link | None:
        """The link by which it came in."""
        return self.place.link(self.came_in[0].link) if self.came_in else None

    @property
    def last_link(self) -> Link | None:
        """The link by which it went out."""
        return self.place.link(self.went_out[-1].link) if self.went_out else None

    @property
    def arrived(self) -> tuple[IPAddress, IPAddress] | None:
        """Source and destination of what came in, as it was to be delivered."""
        told = [e for e in self.events if e.iif and e.family != "bridge"]
        for event in reversed(told):
            if event.source is not None and event.destination is not None:
                return event.source, event.destination
        if not self.came_in:
            return None
        return self.came_in[-1].source, self.came_in[-1].destination

    @property
    def ends(self) -> tuple[IPAddress, IPAddress] | None:
        """Source and destination as they were last."""
        for seen in reversed(self.sightings):
            if seen.out or not self.went_out:
                last = (seen.source, seen.destination)
                told = [e for e in self.events if e.destination is not None]
                if told and told[-1].source is not None and not self.went_out:
                    return told[-1].source, told[-1].destination or last[1]
                return last
        return None


def trail(place: Place, flow: Flow, *, request: bool) -> Trail:
    """Return what `place` has of one way of the flow."""
    packets: dict[int, bool | None] = {}
    events = []
    for event in place.events:
        if event.source is not None:
            packets[event.packet] = flow.is_request(event)
        if packets.get(event.packet) == request:
            events.append(event)
    seen = [
        each
        for each in place.sightings
        if not each.is_error
        and flow.is_request(each) == request
        and not injection.is_own(each.link)
    ]
    return Trail(place, tuple(events), tuple(seen))
