# SPDX-License-Identifier: Apache-2.0
"""Between nodes: whose an address of a network of many is, and where its way ends.

What happens on another node nobody sees from here. But it can be asked: by the network
itself, at the node's own address there, by the port of its tunnel, and at its underlay
address. Which of them answer tells who is to be looked at.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass, replace
from cnipy.net import asking, cache
from cnipy.net.dataplane.lacks import lacks
from cnipy.why.cause import Cause
from cnipy.why.flow import ICMP, UDP, Goal
from cnipy.why.inquiry import observed

if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress
    from cnipy.net.records import NetworkConfig, NodeRecord
    from cnipy.why.evidence import Evidence
    from cnipy.why.place import Place

_SILENT = frozenset({"lost-beyond", "not-masqueraded"})
_NOBODY, _REFUSED = "no-neighbour", "refused-beyond"
_WAYLESS = frozenset({"no-route", "link-down", _NOBODY, "unsent", "not-routed"})
_PATIENCE = 1.0  # seconds: whoever is asked had time to find its neighbours
_OF_NODE = re.compile(r"\bnode ([a-z0-9-]+)")


@dataclass(frozen=True)
class Owner:
    """The network of an address, and which node has it, None if none that is known."""

    address: IPAddress
    config: NetworkConfig
    own: NodeRecord
    peers: dict[str, NodeRecord]
    peer: NodeRecord | None

    def __str__(self) -> str:
        who = f"of node {self.peer.node}" if self.peer else "of no node"
        return f"{self.address} is {who} in network {self.config.name}"


def explained(
    evidence: Evidence, cause: Cause | None
) -> tuple[Cause | None, list[str]]:
    """Return the cause as other nodes have it, and what was asked of them beside it.

    Any other cause stays as it is. Raises CNIError where nothing can be asked.
    """
    if cause is None or evidence.target is not None or _is_inside(evidence, cause):
        return cause, []
    owner = _owner(evidence.final)
    if owner is None or cause.name not in {*_SILENT, *_WAYLESS, _REFUSED}:
        return cause, []
    if owner.peer is None:
        return _nobodys(owner, evidence.host), []
    if cause.name == _REFUSED:
        change = (*cause.change, f"cnipy doctor   # on {owner.peer.node}")
        return replace(cause, text=f"{cause.text}; {owner}", change=change), []
    return _of_way(evidence, cause, owner, owner.peer)


def _of_way(
    evidence: Evidence, cause: Cause, owner: Owner, peer: NodeRecord
) -> tuple[Cause, list[str]]:
    lacking = _lacking(owner, peer)
    if lacking:
        return _wayless(owner, evidence.host, lacking), []
    if cause.name == _NOBODY:  # on the underlay, by host-gw
        return _away(owner, peer, _underlay(owner, peer), cause), []
    if cause.name in _WAYLESS:
        return replace(cause, text=f"{owner}, and {cause.text}"), []
    return _asked(evidence, owner, peer)


def _is_inside(evidence: Evidence, cause: Cause) -> bool:
    """Tell whether the packet ended in the container that sends it."""
    source = evidence.source
    return source is not None and not source.is_host and cause.where == source.name


def _owner(address: IPAddress) -> Owner | None:
    """Return whose an address is; None for one of no pool, and of this node.

    Of a network whose files are damaged nothing is known; doctor and status name them.
    """
    for name in cache.joined():
        with suppress(CNIError):
            known = cache.Cache(name)
            config = known.config()
            own = known.own(config) if config else None
            pool = config.pool(address.version) if config else None
            if not (config and own and pool) or address not in pool.network:
                continue
            if any(address in block for block in own.blocks):
                return None
            peers = known.peers(config) or {}
            having = (p for p in peers.values() if any(address in b for b in p.blocks))
            return Owner(address, config, own, peers, next(having, None))
    return None


def _nobodys(owner: Owner, host: Place) -> Cause:
    text = f"{owner}: no node that is known here has a block with it"
    change = ("cnipy net blocks   # by the store", *_agent())
    return Cause("no-node", host.name, text, change)


def _lacking(owner: Owner, peer: NodeRecord) -> list[str]:
    """Return what the kernel lacks for the way to a node, or has beside it."""
    found = lacks(owner.config, owner.own, owner.peers.values())
    named = {each: _OF_NODE.findall(each) for each in found}
    return [each for each in found if not named[each] or peer.node in named[each]]


def _wayless(owner: Owner, host: Place, lacking: list[str]) -> Cause:
    more = f"; {len(lacking) - 1} more" if len(lacking) > 1 else ""
    text = f"{owner}, and the way there is not as it should be: {lacking[0]}{more}"
    change = (f"cnipy net repair --network {owner.config.name}", *_agent())
    return Cause("no-way", host.name, text, change)


def _agent() -> tuple[str, ...]:
    """Return what has this node hear of the others, if nothing does."""
    with suppress(CNIError):
        if asking.ask("status") is None:
            hint = "start the agent, which hears of other nodes: cnipy doctor"
            return (hint,)
    return ()


def _asked(
    evidence: Evidence, owner: Owner, peer: NodeRecord
) -> tuple[Cause, list[str]]:
    """Return where between the nodes a packet ends of which nothing came back."""
    sent = evidence.trail(evidence.host).went_out  # before anybody else is asked
    inquiry = _Inquiry(evidence.host)
    inner = next(b for b in peer.blocks if b.version == owner.address.version)
    overlay = inner.network_address
    who = f"node {peer.node} in {owner.config.name}"
    if inquiry.ask(overlay, what=who) is None:
        size = evidence.goal.size
        if size and inquiry.ask(overlay, size=size, what=who) is not None:
            return _too_long(owner, peer, size), inquiry.told
        goal = evidence.goal._replace(address=owner.address)
        source = sent[-1].source if sent else None
        return _behind(owner, peer, overlay, goal, source), inquiry.told
    outer = _underlay(owner, peer)
    tunnel = f"the tunnel to {outer}" if owner.config.port else ""
    ended = tunnel and inquiry.ask(outer, port=owner.config.port, what=tunnel)
    if ended and ended.name not in {"lost-beyond", _NOBODY}:
        text = f"{owner}, and of the tunnel there, UDP {owner.config.port} to {outer}, "
        cause = replace(ended, text=f"{text}{ended.text}")
        return cause, inquiry.told
    silence = inquiry.ask(outer, what=f"node {peer.node} on the underlay")
    if silence is not None:
        return _away(owner, peer, outer, silence), inquiry.told
    return _shut(owner, peer, outer), inquiry.told


def _underlay(owner: Owner, peer: NodeRecord) -> IPAddress:
    """Return the address at which this node reaches another one."""
    versions = {each.version for each in owner.own.underlay}
    near = (each for each in peer.underlay if each.version in versions)
    return next(near, peer.underlay[0])


class _Inquiry:
    """Questions of the host to another node; `told` has what became of each."""

    def __init__(self, host: Place) -> None:
        self._host = host
        self.told: list[str] = []

    def ask(
        self, address: IPAddress, *, what: str, port: int = 0, size: int = 0
    ) -> Cause | None:
        """Return why nothing came of a packet, None if it was answered."""
        goal = Goal(address, port, UDP if port else ICMP, size)
        evidence, cause = observed(self._host, self._host, None, goal, _PATIENCE)
        long = f" with {size} bytes" if size else ""
        said = "answers" if cause is None else cause.text
        self.told.append(f"{what}, {evidence.goal}{long}: {said}")
        return cause


def _too_long(owner: Owner, peer: NodeRecord, size: int) -> Cause:
    text = (
        f"{owner}, which answers a small packet by the network, and none of {size} "
        "bytes: a link between the nodes takes less than that of this node's underlay "
        "address, and does not say so"
    )
    change = (
        f"cnipy net ping {peer.node} --network {owner.config.name}",
        "give all links between the nodes one MTU, or create the network with --mtu",
    )
    return Cause("too-big", f"between this node and {peer.node}", text, change)


def _behind(
    owner: Owner,
    peer: NodeRecord,
    overlay: IPAddress,
    goal: Goal,
    source: IPAddress | None,
) -> Cause:
    text = (
        f"{owner}, which answers at {overlay} by the network: it ended on that node, "
        "or its answer did"
    )
    to = str(goal) if goal.port else str(goal.address)
    change = (
        *((f"cnipy why {source} {to}   # on {peer.node}",) if source else ()),
        f"cnipy doctor   # on {peer.node}",
    )
    return Cause("lost-on-node", f"node {peer.node}", text, change)


def _away(owner: Owner, peer: NodeRecord, outer: IPAddress, silence: Cause) -> Cause:
    text = f"{owner}, which does not answer at its underlay address {outer} either: "
    change = (
        f"see whether {peer.node} is up, and reached at {outer}",
        f"cnipy net forget {peer.node}   # if it is gone for good",
    )
    return Cause("node-away", f"node {peer.node}", text + silence.text, change)


def _shut(owner: Owner, peer: NodeRecord, outer: IPAddress) -> Cause:
    port = owner.config.port
    mine = next(a for a in owner.own.underlay if a.version == outer.version)
    by = f"UDP {port}" if port else f"what is from and for {owner.config.name}'s pools"
    text = f"{owner}, which answers at {outer}; {by} between the nodes gets nowhere"
    change = [f"let it through between {mine} and {outer}, both ways"]
    if port:
        change.append(f"cnipy why {mine} {outer}:{port}/udp   # on {peer.node}")
    return Cause("shut-between", f"between this node and {peer.node}", text, (*change,))
