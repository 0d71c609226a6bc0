# SPDX-License-Identifier: Apache-2.0
"""Networks of many nodes: their agent does not run, or hears nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cni_common.pool.asking import SOCKET
from cni_common.spec.errors import CNIError
from cnipy import units
from cnipy.doctor.finding import Finding
from cnipy.net import asking, cache
from cnipy.net.dataplane.lacks import lacks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from cnipy.doctor.examination import Examination

_SILENT = 60  # seconds without a word of the store; a poll takes 5 of them
_BY_HAND = "have something keep `cnipy net agent` running"
_AGENT, _UNIT = "agent-dead", "cnipy-net.service"
# systemd.unit(5); units of a packager lie in the last.
_UNITS = ("/etc/systemd/system", units.RUNNING, "/usr/lib/systemd/system")


def find(node: Examination) -> Iterator[Finding]:
    """Yield that no agent answers, or why the agent knows nothing new of a network."""
    joined = [name for name in cache.joined() if node.only in {None, name}]
    if not joined:
        return
    try:
        told = asking.ask("status")
    except CNIError as error:
        yield _dead(joined, str(error), (f"systemctl restart {_UNIT}", _BY_HAND))
        return
    if told is None:
        yield _dead(joined, *_not_running())
        for name in joined:
            yield from _lacking(name)
        return
    faults: Mapping[str, str] = told.get("faults", {})
    for name in joined:
        yield from _of_network(name, faults, told.get("networks", {}).get(name, {}))


def _lacking(name: str) -> Iterator[Finding]:
    """Yield what the kernel has not of a network, and no agent puts back.

    Raises CNIError for files that are damaged.
    """
    kept = cache.Cache(name)
    config = kept.config()
    own = kept.own(config) if config else None
    peers = kept.peers(config) if config else None
    if config is None or own is None or peers is None:
        return
    found = lacks(config, own, peers.values())
    if found:
        more = f"; {len(found) - 1} more" if len(found) > 1 else ""
        what = (
            "containers of other nodes are not reached, or not by the way that is meant"
        )
        cure = (f"cnipy net repair --network {name}",)
        yield Finding("net-fault", what, f"{found[0]}{more}", cure, name)


def _dead(joined: list[str], cause: str, cure: tuple[str, ...]) -> Finding:
    what = (
        f"this node hears of no change of other nodes in {' '.join(joined)}, gets no "
        "further block, and answers no name of theirs"
    )
    return Finding(_AGENT, what, cause, cure)


def _not_running() -> tuple[str, tuple[str, ...]]:
    """Return why no agent runs, and what has one run."""
    cause = f"no agent answers at {SOCKET}"
    if not os.path.isdir(units.RUNNING):
        return cause, (_BY_HAND,)
    files = (os.path.join(directory, _UNIT) for directory in _UNITS)
    file = next(filter(os.path.exists, files), "")
    if not file:
        return f"{cause}; systemd has no {_UNIT}", ("build.sh install --net", _BY_HAND)
    cause += f"; {file} is not started, or fails"
    return cause, (f"systemctl enable --now {_UNIT}", f"journalctl -u {_UNIT}")


def grows(network: str) -> bool:
    """Tell whether the node's agent claims another block of a network when one is full.

    What keeps it from that is among its faults.
    """
    try:
        told = asking.ask("status") if network in cache.joined() else None
    except CNIError:
        return False
    state = (told or {}).get("networks", {}).get(network, {})
    heard, faults = state.get("heard"), state.get("faults", {})
    return heard is not None and heard < _SILENT and not any(map(_is_of_blocks, faults))


def _is_of_blocks(fault: str) -> bool:
    return fault.startswith(("poll", "spare block"))


def _of_network(
    name: str, faults: Mapping[str, str], state: Mapping[str, Any]
) -> Iterator[Finding]:
    heard = state.get("heard")
    causes = [faults[name]] if name in faults else []
    causes += map(str, state.get("faults", {}).values())
    if heard is not None and heard < _SILENT:
        if causes:
            what = "the network is not on this node as the store has it"
            cure = (f"cnipy net repair --network {name}", "cnipy net status")
            yield Finding("net-fault", what, "; ".join(causes), cure, name)
        return
    since = "never since the agent runs" if heard is None else f"{heard:.0f} s ago"
    what = "nodes that come are not reached, and no further block is claimed"
    cause = "; ".join([f"the store was last heard of {since}", *causes])
    cure = ("cnipy net status", "look after the endpoints in /etc/cnipy/net.toml")
    yield Finding("store-away", what, cause, cure, name)
