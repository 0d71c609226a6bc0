# SPDX-License-Identifier: Apache-2.0
"""`cnipy net join` and `leave`: this node is one of a network's, or none any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass, field
from cnipy.cluster import stored
from cnipy.cluster.creation import check_host
from cnipy.lists import removal, shared
from cnipy.net import asking, cache
from cnipy.net.agent.entry import node_name
from cnipy.net.agent.member import Member

if TYPE_CHECKING:
    from cnipy.context import Context
    from cnipy.net.conf import NetFile


@dataclass
class Joined:
    """A network that this node is in: its blocks, and the list that runtimes read.

    `has_agent` tells whether one runs, which the node needs from now on.
    """

    network: str
    node: str
    blocks: list[str]
    file: str
    has_agent: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "network": self.network,
            "node": self.node,
            "blocks": self.blocks,
            "file": self.file,
            "agent": self.has_agent,
        }


@dataclass
class Left:
    """A network that this node was in: what is gone, and what stays and why."""

    network: str
    gone: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"network": self.network, "removed": self.gone, "kept": self.kept}


def join(
    context: Context, conf: NetFile, name: str, cidrs: tuple[str, ...] = ()
) -> Joined:
    """Join the network `name`, ready for containers; what is there stays.

    Its list comes last, when addresses and ways to the others are there. Raises
    CNIError, and then no list is written.
    """
    with stored.opened(conf) as store:
        config = stored.network(store, name)
    if name not in cache.joined():
        check_host(context, name, [pool.network for pool in config.pools])
    shared.file(context, name)
    member = Member(name, conf, context.tell)
    record, mtu = member.enter(config, cidrs)
    file = shared.write(context, config, mtu)
    blocks = [str(each) for each in record.blocks]
    return Joined(name, record.node, blocks, file, has_agent=False)


def leave(context: Context, conf: NetFile, name: str, *, offline: bool) -> Left:
    """Remove all of the network from this node, and of the node from the store.

    `offline`, the store is not asked; `forget` on another node makes up for it. Raises
    CNIError, with nothing changed, where containers are in the network and where the
    store is away. Where it goes away meanwhile, what was not given back is on disk
    still, and a further call goes on.
    """
    if name not in cache.joined():
        known = " ".join(cache.joined()) or "none"
        msg = f"leave network {name}: this node has not joined it"
        raise CNIError(Code.INVALID_CONFIG, msg, f"it has joined {known}")
    member = Member(name, conf, context.tell)
    if not offline:
        member.check_store()
    node = _name_in(member, conf)
    left = Left(name)
    if shared.file(context, name):
        done = removal.remove(context, name)
        left.gone, left.kept = done.gone, done.kept
    try:
        gone, is_given_back = member.leave(offline=offline)
    except CNIError as error:
        if error.code != Code.TRY_AGAIN_LATER:
            raise
        hint = (
            "what is not given back is kept: call it again, --offline without a store"
        )
        raise CNIError(error.code, error.msg, error.details or hint) from error
    left.gone += gone
    if not is_given_back:
        way_out = f"`cnipy net forget {node} --network {name}` on another node"
        left.kept.append(f"what the store has of node {node}: {way_out}")
    return left


def _name_in(member: Member, conf: NetFile) -> str:
    """Return the name by which the node joined, or what it is called by now."""
    try:
        _, own = member.known()
    except CNIError:  # it is damaged
        return node_name(conf)
    return own.node


def tell_agent(context: Context) -> bool:
    """Have the agent look at what was joined and left; false where none runs.

    Of one that does not answer a warning tells.
    """
    try:
        return asking.ask("reload") is not None
    except CNIError as error:
        context.tell(f"warning: {error}; by itself it looks once a minute")
        return True
