# SPDX-License-Identifier: Apache-2.0
"""Why a probe ended, or its answer: place by place, in the order of its way."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from cnipy.why import causes, published
from cnipy.why.cause import Cause
from cnipy.why.flow import ICMP, TCP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.why.evidence import Evidence
    from cnipy.why.leg import Trail
    from cnipy.why.place import Place


def judge(evidence: Evidence) -> Cause | None:
    """Return why the packet ended, or its answer; None if it was answered.

    An answer to UDP is nobody's duty: what was delivered has arrived.
    """
    if evidence.outcome.kind == "answered":
        return None
    return next((cause for cause in _steps(evidence) if cause is not None), None)


def _steps(evidence: Evidence) -> Iterator[Cause | None]:
    source, host, target = evidence.source, evidence.host, evidence.target
    last = passed = evidence.trail(host)
    if source is not None:
        last = evidence.trail(source)
        yield _too_big(evidence, source)
        yield causes.of_sender(last, evidence.goal.address, evidence.others(source))
    if not evidence.is_source(host):
        is_direct = target is not None and bool(evidence.trail(target).came_in)
        if passed.came_in or not is_direct:
            yield causes.of_crossing(last, passed)
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
    if not evidence.is_source(target) or got.came_in:
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
    target, host = evidence.target, evidence.host
    if evidence.trail(host).reached("input"):
        target = host
    passed = evidence.trail(host, request=False)
    is_between = not evidence.is_source(host)
    if target is not None and not evidence.is_source(target):
        got, sent = evidence.trail(target), evidence.trail(target, request=False)
        to = got.came_in[-1].source if got.came_in else None
        if to is not None and (not sent.is_empty or _is_owed(evidence)):
            others = evidence.others(target)
            yield _back(causes.of_sender(sent, to, others), target)
            if not sent.is_empty and is_between and not evidence.is_host(target):
                yield _back(causes.of_crossing(sent, passed), host)
                yield _back(causes.of_forwarder(passed, evidence.others(host)), host)
    elif target is None and passed.came_in and is_between:
        yield _back(causes.of_forwarder(passed, evidence.others(host)), host)
    if evidence.source is not None:
        came = evidence.trail(evidence.source, request=False)
        if came.came_in:
            to = came.came_in[-1].destination
            yield _back(causes.of_receiver(came, to), evidence.source)


def _is_owed(evidence: Evidence) -> bool:
    return evidence.goal.protocol in {TCP, ICMP}


def _back(cause: Cause | None, place: Place) -> Cause | None:
    """Return the cause, said of the answer."""
    if cause is None:
        return None
    name = "no-route-back" if cause.name in {"no-route", "no-address"} else cause.name
    text = f"its answer: {cause.text}"
    return Cause(name, place.name, text, cause.change, cause.rule)


def _too_big(evidence: Evidence, source: Place) -> Cause | None:
    outcome, goal = evidence.outcome, evidence.goal
    if outcome.error != errno.EMSGSIZE:
        return None
    route = source.route(goal.address)
    link = source.by_index(route.link)
    takes = outcome.mtu or route.mtu or (link.mtu if link else 0)
    is_own = outcome.by in {"", *map(str, source.addresses())}
    who = source.name if is_own else f"{outcome.by}, on the way,"
    text = f"{who} sends no more than {takes} bytes at once; it has {goal.size}"
    change = (f'"mtu": {takes} in the list, for containers to come',)
    return Cause("too-big", who.split(",")[0], text, change)


def _unexplained(evidence: Evidence) -> Cause | None:
    """Return what is heard where nothing that was seen explains it."""
    outcome = evidence.outcome
    if evidence.goal.protocol not in {TCP, ICMP}:
        got = evidence.trail(evidence.target or evidence.host)
        if got.reached("input") and outcome.kind == "silent":
            return None
    said = os.strerror(outcome.error).lower() if outcome.error else outcome.kind
    by = f" by {outcome.by}" if outcome.by else ""
    text = f"the sender is told{by}: {said}; nothing that was seen explains it"
    where = evidence.source.name if evidence.source else "outside"
    return Cause("unexplained", where, text)
