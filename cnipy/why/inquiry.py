# SPDX-License-Identifier: Apache-2.0
"""A packet is sent, watched in each namespace that it passes, and judged."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from cni_common.kernel.stations import question
from cnipy.why.evidence import Evidence
from cnipy.why.judgement import judge
from cnipy.why.outside import Outside, OutsideProbe
from cnipy.why.probe import PATIENCE, Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from cni_common.spec.fields import IPAddress
    from cnipy.why.cause import Cause
    from cnipy.why.flow import Goal
    from cnipy.why.place import Place

_SETTLING = 0.15  # seconds until what was sent last has been seen


def observed(
    source: Place | Outside,
    host: Place,
    target: Place | None,
    goal: Goal,
    patience: float = PATIENCE,
) -> tuple[Evidence, Cause | None]:
    """Send a probe and return what was seen of it, and why it ended, if it did.

    A place listens for `patience`, in seconds. Raises CNIError where it cannot be seen.
    """
    sender = None if isinstance(source, Outside) else source
    found = {p.identity: p for p in (sender, host, target) if p is not None}
    asked = _questions(sender, goal) if sender else []

    def collect() -> None:
        for place in found.values():
            place.collect()

    with _probe(source, host, goal, patience) as probe, ExitStack() as opened:
        flow = probe.flow
        for place in found.values():
            opened.enter_context(place.watching(flow, *asked))
        outcome = probe.send(collect)
        time.sleep(_SETTLING)
        collect()
        evidence = Evidence(flow, outcome, sender, host, target, {})
        cause = judge(evidence)
        for place in found.values():
            for event in place.events:
                key = (place.identity, event.family, event.table, event.chain)
                if event.handle and (*key, event.handle) not in evidence.rules:
                    evidence.rules[(*key, event.handle)] = place.rule(event)
    return evidence, cause


def _probe(
    source: Place | Outside, host: Place, goal: Goal, patience: float
) -> Probe | OutsideProbe:
    if isinstance(source, Outside):
        return OutsideProbe(host, source, goal)
    return Probe(source, goal, patience)


def _questions(source: Place, goal: Goal) -> list[str]:
    """Return matches of what the source asks its neighbours beforehand."""
    route = source.route(goal.address)
    return (
        [question(route.source, route.gateway or goal.address)] if route.source else []
    )


def inquire(
    source: Place | Outside,
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
