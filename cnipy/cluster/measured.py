# SPDX-License-Identifier: Apache-2.0
"""What `cnipy metrics` tells of networks of many nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.pool import held
from cnipy.exposition import Family
from cnipy.net import asking, cache
from cnipy.net.agent import holding

if TYPE_CHECKING:
    from typing import Any

    from cni_common.frame.rollback import Gather


def families(errors: Gather) -> list[Family]:
    """Return what is known of each network that this node has joined.

    Nothing where it has joined none; what cannot be read `errors` has.
    """
    agent = Family("cnipy_net_agent_up", "gauge", "Whether the node's agent answers.")
    blocks = Family("cnipy_net_blocks", "gauge", "Blocks of the pool that it holds.")
    spare = Family("cnipy_net_blocks_spare", "gauge", "Those without a lease.")
    peers = Family("cnipy_net_peers", "gauge", "Other nodes that are known.")
    heard = Family(
        "cnipy_net_heard_seconds", "gauge", "Seconds since the store was heard of."
    )
    faults = Family(
        "cnipy_net_faults", "gauge", "Things that the agent cannot do at this moment."
    )
    joined = errors.attempt(cache.joined) or []
    told = errors.attempt(asking.ask, "status") if joined else None
    if joined:
        agent.tell(int(told is not None))
    for name in joined:
        errors.attempt(_tell_blocks, name, blocks, spare)
        known = errors.attempt(_peers, name)
        if known is not None:
            peers.tell(known, network=name)
        state: dict[str, Any] = (told or {}).get("networks", {}).get(name, {})
        if state.get("heard") is not None:
            heard.tell(state["heard"], network=name)
        if told is not None:
            number = len(state.get("faults", {})) + (name in told.get("faults", {}))
            faults.tell(number, network=name)
    return [agent, blocks, spare, peers, heard, faults]


def _tell_blocks(name: str, blocks: Family, spare: Family) -> None:
    holds, leased = held.read(name), holding.leased(name)
    if holds is None:
        return
    for version in [pool.version for pool in holds.pools]:
        found = holds.usable(version)
        labels = {"network": name, "family": f"ipv{version}"}
        blocks.tell(len(found), **labels)
        unused = [b for b in found if not any(each in b for each in leased)]
        spare.tell(len(unused), **labels)


def _peers(name: str) -> int | None:
    kept = cache.Cache(name)
    config = kept.config()
    found = kept.peers(config) if config else None
    return None if found is None else len(found)
