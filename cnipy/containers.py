# SPDX-License-Identifier: Apache-2.0
"""Which container a word means: the same for every verb.

In this order: the path of a network namespace, a name as in `ip netns`, a process ID,
a container ID, a name that a runtime has for a container or a pod, the beginning of a
container ID.
"""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from cni_common.frame.log import remark
from cni_common.frame.rollback import Gather
from cni_common.kernel import netns_identity
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple, dataclass, replace
from cnipy import result
from cnipy.attachment import from_environment, path_of
from cnipy.bundles import Bundle, bundles, pod_names
from cnipy.recorded import recorded
from cnipy.words import with_ifname

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPAddress
    from cnipy.attachment import Attachment as RuntimeAttachment
    from cnipy.context import Context
    from cnipy.network import Network
    from cnipy.recorded import Recorded

    Way = Callable[[str, "Known | Bundle"], bool]


class Known(NamedTuple):
    """An attachment of which there is a record or a cached result.

    `names` are those that a runtime gave in CNI_ARGS, `addresses` what its result has.
    """

    network: str
    container_id: str
    ifname: str
    netns: str
    identity: str = ""
    names: tuple[str, ...] = ()
    addresses: frozenset[IPAddress] = frozenset()


@dataclass(frozen=True)
class Container:
    """Whom a word means.

    netns: the path of its network namespace, empty where nothing tells; identity: by
    what that is told from others, empty when it is gone; container_id: its own, empty
    if the word was about the namespace.
    """

    word: str
    netns: str
    identity: str
    container_id: str = ""

    def has(self, attachment: Attachment | Known, identity: str) -> bool:
        """Tell whether an attachment is the container's, by its ID or by where it is.

        `identity` is that of the namespace which was written down.
        """
        if self.container_id and attachment.container_id == self.container_id:
            return True
        if self.identity:
            return _living(attachment.netns, identity) == self.identity
        return bool(self.netns) and attachment.netns == self.netns


class Containers:
    """The containers of the node; what tells of them is read when a word needs it."""

    def __init__(
        self, context: Context, records: Iterable[Recorded] | None = None
    ) -> None:
        """`records` are those of the node, if they have been read already."""
        self._context, self._records = context, records
        self._known: list[Known] | None = None

    @property
    def known(self) -> list[Known]:
        """The attachments that records and cached results tell of."""
        if self._known is None:
            recorded = list(self._recorded())
            where = {each[:3]: (each.netns, each.identity) for each in recorded}
            self._known = [*recorded, *self._cached(where)]
        return self._known

    def find(self, word: str, network: str = "") -> Container | None:
        """Return whom `word` means, or None where nothing has that name.

        Of several those count that are attached to `network`, if one is named. Raises
        Code.UNKNOWN_CONTAINER where there are several still.
        """
        space = path_of(word)
        if os.path.lexists(space):
            # That a process of the host has the number says nothing of containers.
            if not word.isdecimal() or not netns_identity.is_own(space):
                return Container(word, space, netns_identity.at(space))
        elif any(each.netns == space for each in self.known):
            return Container(word, space, "")
        for way, several in _WAYS:
            meant = self._meant(word, way)
            if network and len(meant) > 1:
                meant = [each for each in meant if self._is_on(network, each)]
            if len(meant) > 1:
                msg = f"find container {word}: {several}"
                hint = " ".join(sorted(each.container_id for each in meant))
                raise CNIError(Code.UNKNOWN_CONTAINER, msg, hint)
            if meant:
                return meant[0]
        return None

    def of(self, container: Container) -> list[Known]:
        """Return the attachments of a container, each once."""
        found = [each for each in self.known if container.has(each, each.identity)]
        return list({each[:3]: each for each in found}.values())

    def names(self) -> dict[str, tuple[str, ...]]:
        """Return the names that CNI_ARGS told, by container ID."""
        return {each.container_id: each.names for each in self.known if each.names}

    def _is_on(self, network: str, container: Container) -> bool:
        return any(each.network == network for each in self.of(container))

    def _meant(self, word: str, way: Way) -> list[Container]:
        """Return whom `word` means in one way; those that share a namespace are one."""
        found: dict[str, Container] = {}
        candidates: Iterable[Known | Bundle]
        candidates = chain(self.known, bundles(self._context.env))
        for each in candidates:
            before = found.get(each.container_id)
            # Not all that is written down of a container says where it lives.
            if (before is None or not before.identity) and way(word, each):
                identity = _living(each.netns, each.identity)
                if before is None or identity:
                    meant = Container(word, each.netns, identity, each.container_id)
                    found[each.container_id] = meant
        apart = {each.identity or each.container_id: each for each in found.values()}
        return list(apart.values())

    def _recorded(self) -> Iterator[Known]:
        if self._records is None:
            errors = Gather()
            self._records = recorded(self._context.suite, errors).values()
            for error in errors.raised:
                remark(str(error))
        for item in self._records:
            at = item.attachment
            who = (at.network, at.container_id, at.ifname)
            yield Known(*who, at.netns, item.identity, addresses=item.addresses)

    def _cached(
        self, where: Mapping[tuple[str, str, str], tuple[str, str]]
    ) -> Iterator[Known]:
        """Yield what runtimes have kept; `where` is what records tell."""
        for entry in self._context.cache.all_entries():
            at, args = entry.attachment, dict(entry.attachment.args)
            pod = (args.get("K8S_POD_NAMESPACE"), args.get("K8S_POD_NAME"))
            names = tuple(pod_names(*pod))
            who = (entry.network, *entry.key)
            there = where.get(who) or (at.netns, "")
            yield Known(*who, *there, names, result.addresses(entry.result))


def attachment(context: Context, word: str, network: str = "") -> RuntimeAttachment:
    """Return the attachment that a runtime would call by `word`.

    Its container ID is the runtime's where `word` is a name of that, and of one that is
    to be detached from `network` the one by which it is attached; else cnitool's.
    """
    asked = from_environment(word, context.env)
    if network and os.path.lexists(context.cache.path(network, asked)):
        return asked
    containers = Containers(context)
    found = containers.find(word)
    if found is None:
        return asked
    for each in containers.of(found) if network else ():
        if (each.network, each.ifname) == (network, asked.ifname):
            return replace(asked, container_id=each.container_id, netns=each.netns)
    if found.container_id:
        return replace(asked, container_id=found.container_id, netns=found.netns)
    return asked


def attached(
    context: Context, options: argparse.Namespace
) -> tuple[Network, RuntimeAttachment]:
    """Return which attachment NETWORK, NETNS and --ifname mean, and the list of it."""
    context = with_ifname(context, options)
    found = attachment(context, options.netns, options.network)
    return context.kept_network(options.network, found), found


def _is(word: str, each: Known | Bundle) -> bool:
    return each.container_id == word


def _is_called(word: str, each: Known | Bundle) -> bool:
    return word in each.names


def _begins(word: str, each: Known | Bundle) -> bool:
    """Tell whether the ID begins so; that of nerdctl stands behind its namespace."""
    _, _, bare = each.container_id.partition("-")
    return bool(word) and (each.container_id.startswith(word) or bare.startswith(word))


def _living(netns: str, identity: str) -> str:
    """Return the identity of a namespace that is where it was, else nothing.

    The host's own, to which a process ID may have passed, is none.
    """
    there = netns_identity.at(netns) if netns else ""
    if netns_identity.is_own(netns) or identity not in {"", there}:
        return ""
    return there


_WAYS: tuple[tuple[Way, str], ...] = (
    (_is, "several have this ID"),
    (_is_called, "several are called so"),
    (_begins, "several begin so"),
)
