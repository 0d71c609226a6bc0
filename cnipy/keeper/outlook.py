# SPDX-License-Identifier: Apache-2.0
"""Who keeps leases here, and how those are, for the operator."""

from __future__ import annotations

from cni_common.spec.errors import CNIError
from cnipy.suite import Keeper
from plugins.dhcp import lease, wire
from plugins.dhcp.call import AbsentError, listens
from plugins.dhcp.lease import State

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from plugins.dhcp.lease import Lease

_PATIENCE = 5.0  # seconds; systemd may have to start it first


def keepers() -> list[Keeper]:
    """Return each keeper that has leases, and the one at its usual place.

    Asks whether they answer, and changes nothing.
    """
    kept: dict[str, list[Lease]] = {wire.SOCKET: []}
    try:
        for _, held in lease.every():
            kept.setdefault(held.socket, []).append(held)
    except CNIError as error:
        return [Keeper(wire.SOCKET, error.msg)]
    return [
        Keeper(path, _fault(path), _counted(leases), _renewal(leases))
        for path, leases in kept.items()
    ]


def _fault(path: str) -> str:
    """Return why the keeper at `path` does not answer, or nothing."""
    try:
        listens(path, _PATIENCE)
    except AbsentError:
        return f"nobody listens at {path}"
    except CNIError as error:
        return error.msg
    return ""


def _counted(leases: list[Lease]) -> dict[str, int]:
    states = [each.state for each in leases]
    return {str(s): states.count(s) for s in State if s in states}


def _renewal(leases: list[Lease]) -> float | None:
    """Return in how many seconds the first lease is renewed."""
    due = [
        held.grant.obtained + held.grant.renewal
        for held in leases
        if held.grant and held.state == State.HELD
    ]
    return max(0.0, min(due) - lease.now()) if due else None
