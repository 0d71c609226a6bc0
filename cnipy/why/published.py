# SPDX-License-Identifier: Apache-2.0
"""Why a port of the host did not lead into a container, though one has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.published import ledger
from cni_common.published.claims import Port
from cnipy.recorded import name_of
from cnipy.why.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.published.claims import Claim
    from cnipy.why.flow import Goal


def untranslated(goal: Goal, where: str) -> Cause | None:
    """Return why the goal, an address of the host, was not translated; None: no claim.

    Somebody has the port, but not at this address, not for this sender, or its rules
    are gone.
    """
    port = Port(goal.protocol, goal.port)
    if not goal.port:
        return None
    held = ledger.load([port])[port]
    reasons = [reason for claim in held for reason in _reasons(claim, goal)]
    if not held:
        return None
    text = f"{port} is not translated: {'; '.join(reasons)}"
    change = _changes(held, goal)
    return Cause("not-published", where, text, change)


def _reasons(claim: Claim, goal: Goal) -> Iterator[str]:
    who = name_of(claim.attachment)
    version = goal.address.version
    targets = [target for target in claim.targets if target.family == version]
    if claim.host_ip and claim.host_ip != str(goal.address):
        yield f"{who} publishes it on {claim.host_ip} alone, not on {goal.address}"
    elif not targets:
        yield f"{who}, which publishes it, has no IPv{version} address"
    elif targets[0].conditions:
        yield f"{who} publishes it only if {targets[0].conditions}"
    elif goal.address.is_loopback and not claim.snat:
        yield f"{who} publishes it without snat, so not on {goal.address}"
    else:
        yield f"{who} publishes it, but its rules did not do it; are they there?"


def _changes(held: list[Claim], goal: Goal) -> tuple[str, ...]:
    hosts = [claim.host_ip for claim in held if claim.host_ip]
    if hosts and str(goal.address) not in hosts:
        return (f"ask {hosts[0]}, or publish without hostIP",)
    if any(target.conditions for claim in held for target in claim.targets):
        return ("ask from where conditionsV4 or conditionsV6 of portmap allow it",)
    return ("cnipy repair",)
