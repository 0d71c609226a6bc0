# SPDX-License-Identifier: Apache-2.0
"""A packet is sent, watched in each namespace that it passes, and judged."""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from cni_common.kernel.stations import question
from cni_common.spec.values import dataclass
from cnipy.why import causes, published, routing
from cnipy.why.cause import Cause
from cnipy.why.flow import ICMP, TCP
from cnipy.why.leg import Trail, trail
from cnipy.why.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cni_common.spec.fields import IPAddress
    from cnipy.why.flow import Flow, Goal
    from cnipy.why.place import Place
    from cnipy.why.probe import Outcome

_SETTLING = 0.15  # seconds until what was sent last has been seen


@dataclass(frozen=True)
class Evidence:
    """What was seen of a probe, and what its sender heard.

    target: who is to get it, None where that is nobody's of this node; notes: the
    rules that decided, as nft printed them while they were there.
    """

    flow: Flow
    outcome: Outcome
    source: Place
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


def observed(
    source: Place, host: Place, target: Place | None, goal: Goal
) -> tuple[Evidence, Cause | None]:
    """Send a probe and return what was seen of it, and why it ended, if it did.

    Raises CNIError where that cannot be seen.
    """
    found = {p.identity: p for p in (source, host, target) if p is not None}
    route = source.route(goal.address)
    hop = route.gateway or goal.address
    asked = [question(route.source, hop)] if route.source else []
    with Probe(source, goal) as probe, ExitStack() as watched:
        flow = probe.flow
        for place in found.values():
            watched.enter_context(place.watching(flow, *asked))
        outcome = probe.send()
        time.sleep(_SETTLING)
        for place in found.values():
            place.collect()
        evidence = Evidence(flow, outcome, source, host, target, {})
        cause = judge(evidence)
        for place in found.values():
            for event in place.events:
                key = (place.identity, event.family, event.table, event.chain)
                if event.handle and (*key, event.handle) not in evidence.rules:
                    evidence.rules[(*key, event.handle)] = place.rule(event)
    return evidence, cause


def judge(evidence: Evidence) -> Cause | None:
    """Return why the packet ended, or its answer; None if it was answered.

    An answer to UDP is nobody's duty: what was delivered has arrived.
    """
    if evidence.outcome.kind == "answered":
        return None
    return next((cause for cause in _steps(evidence) if cause is not None), None)


def _steps(evidence: Evidence) -> Iterator[Cause | None]:
    source, host, target = evidence.source, evidence.host, evidence.target
    goal, request = evidence.goal, evidence.trail(evidence.source)
    yield _too_big(evidence)
    yield causes.of_sender(request, goal.address, evidence.others(source))
    last = request
    if host.identity != source.identity:
        passed = evidence.trail(host)
        direct = target is not None and not passed.came_in
        direct = direct and bool(target and evidence.trail(target).came_in)
        if not direct:
            yield causes.of_crossing(request, passed)
            if not _is_local(evidence, passed):
                yield causes.of_forwarder(passed, evidence.others(host))
            last = passed
    yield from _delivery(evidence, last)
    yield from _answer(evidence)
    yield _unexplained(evidence)


def _is_local(evidence: Evidence, passed: Trail) -> bool:
    """Tell whether the host took the packet for one of its own."""
    return passed.reached("input") or evidence.host.has(evidence.final)


def _delivery(evidence: Evidence, last: Trail) -> Iterator[Cause | None]:
    """Yield why who is to get the packet did not, and that nobody listens there."""
    target = evidence.target
    host = evidence.host
    seen = evidence.trail(host)
    if seen.reached("input") and (target is None or target.identity != host.identity):
        yield published.untranslated(evidence.goal, host.name)
    if seen.reached("input"):
        target = host
    if target is None:
        yield _beyond(evidence)
        return
    got = evidence.trail(target)
    if target.identity != last.place.identity:
        yield causes.of_crossing(last, got)
    if target.identity != evidence.source.identity or got.came_in:
        yield causes.of_receiver(got, evidence.goal.address)
    if evidence.outcome.kind == "refused":
        yield _nobody(evidence, target, got)


def _nobody(evidence: Evidence, target: Place, got: Trail) -> Cause | None:
    """Return that nobody listens where the packet was delivered."""
    if target.is_host:
        found = published.untranslated(evidence.goal, target.name)
        if found is not None:
            return found
    seen = [each for each in got.sightings if not each.out]
    last = seen[-1] if seen else None
    at = f"{last.destination}:{last.dport}" if last else str(evidence.goal)
    text = (
        f"{target.name} got it, and nobody listens at {at} ({evidence.goal.protocol})"
    )
    change = f"have it listen there; ss -ln in {target.name} shows who listens where"
    return Cause("nobody-listens", target.name, text, (change,))


def _beyond(evidence: Evidence) -> Cause | None:
    """Return what is known of a packet that left the node."""
    sent = evidence.trail(evidence.host)
    back = evidence.trail(evidence.host, request=False)
    if not sent.went_out:
        return None
    last = sent.went_out[-1]
    if evidence.outcome.by or evidence.outcome.kind == "refused":
        who = evidence.outcome.by or str(last.destination)
        text = f"it left by {last.link}, and {who} refuses it"
        return Cause("refused-beyond", who, text, ("see there: a firewall, or a port",))
    if back.came_in:
        return None
    text = f"it left by {last.link} as {last.source} for {last.destination}, and "
    text += "nothing came back"
    if not evidence.host.has(last.source):
        text += f"; who is beyond may have no way back to {last.source}"
        change = (
            '"ipMasq": true in the list, so that it leaves with an address of the host',
            f"or a route to {last.source} beyond, by this host",
        )
        return Cause("not-masqueraded", evidence.host.name, text, change)
    look = f"see at {last.destination} whether it arrives: tcpdump -n"
    return Cause("lost-beyond", f"beyond {last.link}", text, (look,))


def _answer(evidence: Evidence) -> Iterator[Cause | None]:
    """Yield why the answer did not come back."""
    target, source, host = evidence.target, evidence.source, evidence.host
    if evidence.trail(host).reached("input"):
        target = host
    if target is not None and target.identity != source.identity:
        got = evidence.trail(target)
        to = got.came_in[-1].source if got.came_in else None
        sent = evidence.trail(target, request=False)
        if to is not None and (not sent.is_empty or _is_owed(evidence)):
            yield _back(causes.of_sender(sent, to, evidence.others(target)), target)
            if not sent.is_empty and host.identity not in {
                target.identity,
                source.identity,
            }:
                passed = evidence.trail(host, request=False)
                yield _back(causes.of_crossing(sent, passed), host)
                yield _back(causes.of_forwarder(passed, evidence.others(host)), host)
    elif target is None:
        passed = evidence.trail(host, request=False)
        if passed.came_in and host.identity != source.identity:
            yield _back(causes.of_forwarder(passed, evidence.others(host)), host)
    came = evidence.trail(source, request=False)
    if came.came_in:
        yield _back(causes.of_receiver(came, came.came_in[-1].destination), source)


def _is_owed(evidence: Evidence) -> bool:
    return evidence.goal.protocol in {TCP, ICMP}


def _back(cause: Cause | None, place: Place) -> Cause | None:
    """Return the cause, said of the answer."""
    if cause is None:
        return None
    name = "no-route-back" if cause.name in {"no-route", "no-address"} else cause.name
    text = f"its answer: {cause.text}"
    return Cause(name, place.name, text, cause.change, cause.rule)


def _too_big(evidence: Evidence) -> Cause | None:
    outcome, goal = evidence.outcome, evidence.goal
    if outcome.error != errno.EMSGSIZE:
        return None
    route = evidence.source.route(goal.address)
    link = evidence.source.by_index(route.link)
    takes = outcome.mtu or route.mtu or (link.mtu if link else 0)
    is_own = outcome.by in {"", *map(str, evidence.source.addresses())}
    who = evidence.source.name if is_own else f"{outcome.by}, on the way,"
    text = f"{who} sends no more than {takes} bytes at once; it has {goal.size}"
    change = (f'"mtu": {takes} in the list, for containers to come',)
    return Cause("too-big", who.split(",")[0], text, change)


def _unexplained(evidence: Evidence) -> Cause | None:
    """Return what is heard where nothing that was seen explains it."""
    outcome, target = evidence.outcome, evidence.target
    if target is not None and evidence.goal.protocol not in {TCP, ICMP}:
        got = evidence.trail(target)
        if got.reached("input") and outcome.kind == "silent":
            return None
    said = os.strerror(outcome.error).lower() if outcome.error else outcome.kind
    by = f" by {outcome.by}" if outcome.by else ""
    if outcome.error in {errno.EHOSTUNREACH, errno.ENETUNREACH}:
        found = routing.of_family(evidence.source, evidence.goal.address)
        if found is not None:
            return found
    text = f"the sender is told{by}: {said}; nothing that was seen explains it"
    return Cause("unexplained", evidence.source.name, text)


def inquire(
    source: Place,
    host: Place,
    goal: Goal,
    find: Callable[[IPAddress], Place | None],
) -> tuple[Evidence, Cause | None]:
    """Send a probe, and another one where the first shows who else is to be watched.

    `find` returns the container that has an address. Raises CNIError.
    """
    target = find(goal.address)
    evidence, cause = observed(source, host, target, goal)
    if evidence.final != goal.address:
        translated = find(evidence.final)
        if translated is not None:
            return observed(source, host, translated, goal)
    return evidence, cause
