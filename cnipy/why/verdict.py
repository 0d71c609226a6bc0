# SPDX-License-Identifier: Apache-2.0
"""What `cnipy why` answers: whether it arrives, else where it ends, and the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cni_common.kernel.stations import PREFIX
from cnipy.verb import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cni_common.kernel.nft_trace import Event
    from cni_common.spec.fields import IPAddress
    from cnipy.paper import Paper
    from cnipy.why.cause import Cause
    from cnipy.why.evidence import Evidence
    from cnipy.why.leg import Trail
    from cnipy.why.place import Place

Way = list[tuple[str, list[str]]]
_QUIET = frozenset({"continue", "return"})


class Verdict(Answer):
    """The answer: from whom to whom, the cause if it ended, and what was seen."""

    def __init__(
        self,
        source: str,
        evidence: Evidence,
        cause: Cause | None,
        way: Way,
        asked: Sequence[str] = (),
    ) -> None:
        self.source, self._evidence, self.cause = source, evidence, cause
        self.status = int(cause is not None)
        self._way = [*way, *([("asked besides", [*asked])] if asked else [])]

    @property
    def sentence(self) -> str:
        """Whether it gets through."""
        goal = self._evidence.goal
        if self.cause is not None:
            return f"{self.source} does not reach {goal}: {self.cause.text}"
        if self._evidence.outcome.kind == "answered":
            return f"{self.source} reaches {goal}, which answers"
        return f"{self.source} reaches {goal}: it arrived; to UDP nobody need answer"

    def lines(self, paper: Paper) -> Iterator[str]:
        """Yield the answer as text."""
        yield paper.tint(self.sentence, "red" if self.cause else "green")
        if self.cause is not None:
            yield f"  where: {self.cause.where}"
            for number, step in enumerate(self.cause.change):
                yield f"  {'        ' if number else 'change: '}{step}"
        for label, lines in self._way:
            yield f"  {label}"
            yield from (f"    {line}" for line in lines)

    def document(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        goal, outcome = self._evidence.goal, self._evidence.outcome
        return {
            "source": self.source,
            "target": str(goal.address),
            "port": goal.port,
            "protocol": goal.protocol,
            "reaches": self.cause is None,
            "outcome": outcome.kind,
            "text": self.sentence,
            "cause": self.cause.document() if self.cause else None,
            "way": [{"where": label, "seen": lines} for label, lines in self._way],
        }


def way(evidence: Evidence) -> Way:
    """Return what each place had of the packet, while the places are there to ask."""
    return [(label, list(lines)) for label, lines in _ways(evidence) if lines]


def _ways(evidence: Evidence) -> Iterator[tuple[str, list[str]]]:
    """Yield each place with what it had of the packet, then of the answer."""
    for place in evidence.places:
        trail = evidence.trail(place)
        to = evidence.final if place is evidence.host else evidence.goal.address
        way = [] if place is evidence.target else _route(place, to)
        yield f"in {place.name}", way + _seen(evidence, trail)
    for place in reversed(evidence.places):
        back = evidence.trail(place, request=False)
        if not back.is_empty:
            came = evidence.trail(place).arrived
            is_end = place is evidence.source or came is None
            way = [] if is_end or came is None else _route(place, came[0])
            yield f"back in {place.name}", way + _seen(evidence, back)


def _route(place: Place, to: IPAddress) -> list[str]:
    """Return lines about the route to an address, and about the next hop."""
    route = place.route(to)
    if route.error:
        return [f"route to {to}: {os.strerror(route.error).lower()}"]
    if route.kind == "local":
        return [f"{to} is its own"]
    link = place.by_index(route.link)
    name = link.name if link else "a link that is gone"
    hop = route.gateway or to
    via = f" via {hop}" if route.gateway else ""
    lines = [f"route to {to}: by {name}{via}, from {route.source}"]
    known = place.neighbour(hop, route.link)
    if known is not None:
        mac = f" at {known.mac}" if known.mac else ""
        lines.append(f"neighbour {hop}: {known.state}{mac}")
    return lines


def _seen(evidence: Evidence, trail: Trail) -> list[str]:
    """Return lines about links and chains, each once."""
    lines = []
    for seen in trail.sightings:
        way = "out by" if seen.out else "in by"
        strange = seen.others and not seen.out and not _is_port(trail.place, seen.link)
        other = ", for another MAC" if strange else ""
        ends = f"{seen.source} to {seen.destination}"
        lines.append(f"{way} {seen.link}: {ends}{other}")
    chains: dict[tuple[str, str, str], list[str]] = {}
    for event in trail.events:
        if event.table.startswith(PREFIX):
            continue
        at = (event.family, event.table, event.chain)
        told = _told(evidence, trail.place, event)
        known = chains.setdefault(at, [])
        if told and told not in known:
            known.append(told)
    for (family, table, chain), said in chains.items():
        what = f": {'; '.join(said)}" if said else ""
        lines.append(f"chain {family} {table} {chain}{what}")
    return list(dict.fromkeys(lines)) or ["nothing was seen"]


def _is_port(place: Place, name: str) -> bool:
    """Tell whether a link is a port of a bridge, which takes what is for others."""
    link = place.link(name)
    return link is not None and bool(link.master)


def _told(evidence: Evidence, place: Place, event: Event) -> str:
    """Return what an event says of its chain, nothing where it says nothing."""
    if event.kind == "policy":
        return f"policy {event.verdict}"
    if not event.handle:
        return ""
    key = (place.identity, event.family, event.table, event.chain, event.handle)
    rule = evidence.rules.get(key) or f"handle {event.handle}"
    if event.verdict in _QUIET:
        return f"`{rule}`"
    return f"`{rule}` ({event.verdict})"
