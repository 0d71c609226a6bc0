# SPDX-License-Identifier: Apache-2.0
"""`cnipy net status`, `show`, `blocks` and `export`."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from cni_common.pool import held
from cni_common.spec.errors import CNIError, Code
from cnipy.cluster import stored
from cnipy.net import asking, cache, keys
from cnipy.net.agent import holding
from cnipy.net.agent.member import Member
from cnipy.net.refusal import store_refusal
from cnipy.verb import Lines

if TYPE_CHECKING:
    from cnipy.net.conf import NetFile
    from cnipy.net.records import NetworkConfig, NodeRecord
    from cnipy.net.store import Store


def status() -> Lines:
    """Return how this node's networks are; the status is 1 unless all is well.

    Without store or agent, too. Raises CNIError where this node was told nothing.
    """
    conf = stored.conf()
    agent, silence = _agent()
    fault = _away(conf)
    networks = [_of_network(conf, name, agent) for name in cache.joined()]
    faults = dict((agent or {}).get("faults", {}))
    document = {
        "store": fault or "answers",
        "agent": agent["pid"] if agent else None,
        "faults": {**faults, **({"agent": silence} if silence else {})},
        "networks": networks,
    }
    lines = [f"store: {fault or 'answers'}"]
    is_there = f"process {agent['pid']}" if agent else silence or "none runs"
    lines.append(f"agent: {is_there}")
    lines += [f"network {name}: {text}" for name, text in faults.items()]
    for each in networks:
        lines += _told(each, has_agent=agent is not None)
    if not networks:
        lines.append("networks: none is joined: `cnipy net join NETWORK`")
    well = agent and not fault and not faults
    well = well and not any(each["faults"] or each["unusable"] for each in networks)
    return Lines(document, lines, 0 if well else 1)


def _agent() -> tuple[dict[str, Any] | None, str]:
    """Return how the agent says it fares, None without one; and why it says nothing."""
    try:
        return asking.ask("status"), ""
    except CNIError as error:
        return None, str(error)


def _away(conf: NetFile) -> str:
    """Return why the store does not answer, nothing if it does."""
    try:
        with stored.opened(conf) as store, store_refusal("ask the store"):
            store.get(f"{keys.ROOT}version")
    except CNIError as error:
        return str(error)
    return ""


def _of_network(
    conf: NetFile, name: str, agent: dict[str, Any] | None
) -> dict[str, Any]:
    """Return what is known of a network that this node has joined."""
    state = (agent or {}).get("networks", {}).get(name, {})
    found: dict[str, Any] = {"network": name, "faults": {**state.get("faults", {})}}
    try:
        config, own = Member(name, conf, lambda _: None).known()
        found |= _of_config(config, own)
        if conf.node not in {"", own.node}:
            found["faults"]["name"] = _renamed(name, conf.node, own.node)
        peers = cache.Cache(name).peers(config)
    except CNIError as error:
        found["faults"]["cache"] = str(error)
        peers = None
    found |= _of_blocks(name, found["faults"])
    found["peers"] = None if peers is None else len(peers)
    found["heard"] = state.get("heard")
    found["publishes"] = state.get("publishes", False)
    found["refused"] = {**state.get("refused", {})}
    return found


def _renamed(network: str, wanted: str, present: str) -> str:
    way_out = f"`cnipy net leave {network}`, and join"
    return f"net.toml calls this node {wanted}, and it joined as {present}: {way_out}"


def _of_config(config: NetworkConfig, own: NodeRecord) -> dict[str, Any]:
    return {
        "backend": config.backend,
        "pools": [str(pool.network) for pool in config.pools],
        "node": own.node,
        "underlay": [str(each) for each in own.underlay],
        "blocks": [str(each) for each in own.blocks],
    }


def _of_blocks(name: str, faults: dict[str, str]) -> dict[str, Any]:
    """Return what containers have of the node's blocks; add what cannot be read."""
    found: dict[str, Any] = {"unusable": [], "leased": 0}
    try:
        found["leased"] = len(holding.leased(name))
        holds = held.read(name)
        found["unusable"] = [str(each) for each in (holds.unusable if holds else ())]
    except CNIError as error:
        faults["blocks"] = str(error)
    return found


def _told(network: dict[str, Any], *, has_agent: bool) -> list[str]:
    """Return a network's part of the text."""
    name, heard = network["network"], network["heard"]
    pools, by = network.get("pools", ()), network.get("backend", "?")
    when = "not heard of yet" if has_agent else "as they were while an agent ran"
    when = when if heard is None else f"heard of {heard} s ago"
    peers = network["peers"]
    known = "no others known" if peers is None else f"{peers} others"
    publishes = ", publishes" if network["publishes"] else ""
    own = f"{network.get('node', '?')} at {' '.join(network.get('underlay', ()))}"
    blocks = " ".join(network.get("blocks", ())) or "no block"
    lines = [
        f"{name}: {by}, {' '.join(pools)}; {known}, {when}{publishes}",
        f"  {own}: {blocks}, {network['leased']} addresses given",
    ]
    lines += [f"  {each} is another node's, too" for each in network["unusable"]]
    lines += [f"  not believed: {text}" for text in network["refused"].values()]
    return lines + [f"  {doing}: {text}" for doing, text in network["faults"].items()]


def node(name: str, network: str | None) -> Lines:
    """Return what the store has of a node; raises CNIError where it has nothing."""
    found = []
    with stored.opened(stored.conf()) as store:
        for config in stored.chosen(store, network):
            with store_refusal(f"read node {name:.80}"):
                nodes, _ = stored.nodes(store, config)
            if name in nodes:
                found.append({"network": config.name, **nodes[name].document()})
    if not found:
        msg = f"show node {name:.80}: the store has none of that name"
        raise CNIError(Code.INVALID_CONFIG, msg, "`cnipy net blocks` names them")
    return Lines(found, [line for each in found for line in _record(each)])


def _record(document: dict[str, Any]) -> list[str]:
    lines = [f"{document['node']} in {document['network']}"]
    for key in ("underlay", "blocks", "mac", "key", "seq", "identity"):
        value = document.get(key)
        text = " ".join(value) if isinstance(value, list) else value
        if text:
            lines.append(f"  {key}: {text}")
    return lines


def blocks(network: str | None) -> Lines:
    """Return which node has which blocks, and what is not to be believed."""
    found, lines = [], []
    with stored.opened(stored.conf()) as store:
        for config in stored.chosen(store, network):
            with store_refusal(f"list nodes of network {config.name}"):
                nodes, refused = stored.nodes(store, config)
            listed = {n: [str(b) for b in r.blocks] for n, r in sorted(nodes.items())}
            found.append({"network": config.name, "nodes": listed, "refused": refused})
            lines.append(f"{config.name}: {_pools(config, list(nodes.values()))}")
            lines += [f"  {n}: {' '.join(held)}" for n, held in listed.items()]
            lines += [f"  refused: {text}" for text in refused]
    return Lines(found, lines, 1 if any(each["refused"] for each in found) else 0)


def _pools(config: NetworkConfig, nodes: list[NodeRecord]) -> str:
    """Return how much of each pool is claimed."""
    told_pools = []
    for pool in config.pools:
        every = 1 << (pool.block - pool.network.prefixlen)
        version = pool.network.version
        used = sum(block.version == version for n in nodes for block in n.blocks)
        told_pools.append(f"{used} of {every} blocks of {pool.network}")
    return ", ".join(told_pools)


def everything(network: str | None) -> dict[str, Any]:
    """Return all that the store has of a network, or of each, by key."""
    with stored.opened(stored.conf()) as store:
        found: dict[str, Any] = {}
        for config in stored.chosen(store, network):
            found[keys.vni(config.vni)] = config.name
            with store_refusal(f"read network {config.name}"):
                found |= _below(store, keys.network(config.name))
    return found


def _below(store: Store, prefix: str) -> dict[str, Any]:
    return {entry.key: _value(entry.value) for entry in store.list(prefix)}


def _value(content: bytes) -> Any:
    """Return a value as JSON has it; what is none in base64, as an object says."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return {"base64": base64.b64encode(content).decode()}
