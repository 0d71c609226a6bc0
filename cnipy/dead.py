# SPDX-License-Identifier: Apache-2.0
"""`cnipy gc` without a network: what is left of containers that are gone.

A list that was replaced while containers ran, or a runtime that never called DEL,
leaves results, records, leases and ports of networks that nobody asks GC for. Only
what is known to have died goes: no network namespace that is known of the attachment is
found. The rest is told.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from cni_common import attachments, shapes
from cni_common.living_spaces import Space, Spaces
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass, field, replace
from cnipy import attachment as runtime_attachments
from cnipy import leases
from cnipy import network as networks
from cnipy.runtime import gather, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cnipy.cache import Entry
    from cnipy.network import Network
    from cnipy.runtime import Runtime

# For a plugin that works from its record, when no list of the network is left.
_VERSION = "1.0.0"
# Of a record of any plugin.
_RECORD = dict.fromkeys(("netns", "netnsIdentity", "ipam"), (shapes.text, ""))


@dataclass
class Traces:
    """What is left of one attachment: records by plugin, and a cached result.

    `spaces` are the network namespaces that these name; `lives` if one of them is
    where it was; `doubt` is who has one of the same number now.
    """

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    entry: Entry | None = None
    spaces: list[Space] = field(default_factory=list)
    lives: bool = False
    doubt: str = ""

    def __str__(self) -> str:
        parts = [f"record of {plugin}" for plugin in self.records]
        return ", ".join(parts + ["cached result"] * (self.entry is not None))

    @property
    def unclear(self) -> str:
        """Why nobody can tell whether the attachment lives; empty if it is known."""
        if not self.spaces:
            return "nothing says in which network namespace it was"
        if self.doubt and not self.lives:
            return f"{self.doubt} has a network namespace of the same number"
        return ""


def collect(
    runtime: Runtime,
    directory: str,
    plugins: Collection[str],
    tell: Callable[[str], None],
    *,
    dry_run: bool,
) -> list[str]:
    """Remove all of attachments that are known to be dead; return them in words.

    With `dry_run` nothing is changed. What nobody can tell about is told and kept.
    Raises CNIError for what could not be removed, after all else has been.
    """
    errors: list[CNIError] = []
    gone = []
    with runtime.cache.locked(alone=True):
        found = traces(runtime, plugins)
        for owner, left in sorted(found.items(), key=lambda pair: pair[0]):
            what = f"{owner.network} {owner.container_id}/{owner.ifname}: {left}"
            if left.unclear:
                tell(f"kept {what}: {left.unclear}")
            elif dry_run and not left.lives:
                gone.append(what)
            elif not left.lives:
                failures = len(errors)
                for step in _release(runtime, directory, owner, left):
                    gather(errors, step)
                if len(errors) == failures:
                    gone.append(what)
    for line in leases.unknown(found):
        tell(line)
    if errors:
        raise joined(errors)
    return gone


def traces(runtime: Runtime, plugins: Collection[str]) -> dict[Attachment, Traces]:
    """Return what records and cached results say, by attachment."""
    found: dict[Attachment, Traces] = {}
    for plugin in sorted(plugins):
        for owner, record in attachments.of_plugin(plugin, _RECORD):
            left = found.setdefault(owner, Traces())
            left.records[plugin] = record
            if record["netnsIdentity"]:
                left.spaces.append(Space(record["netns"], record["netnsIdentity"]))
    for entry in runtime.cache.all_entries():
        left = found.setdefault(Attachment(entry.network, *entry.key), Traces())
        left.entry = entry
        if entry.attachment.netns:
            left.spaces.append(Space(entry.attachment.netns))
    # Afterwards, so that a namespace that was made meanwhile is among them.
    _look_for(found, Spaces())
    return found


def _look_for(found: dict[Attachment, Traces], there: Spaces) -> None:
    """Look for the namespace of each attachment.

    A number that a living container's namespace has by now has passed to it.
    """
    holders: dict[str, set[str]] = {}
    for owner, left in found.items():
        for identity in filter(None, map(there.found, left.spaces)):
            left.lives = True
            holders.setdefault(identity, set()).add(owner.container_id)
    for owner, left in found.items():
        for space in left.spaces:
            if not holders.get(space.identity, set()) - {owner.container_id}:
                left.doubt = left.doubt or there.holder(space.identity)


def _release(
    runtime: Runtime,
    directory: str,
    owner: Attachment,
    left: Traces,
) -> Iterator[Callable[[], object]]:
    """Yield what is to be tried: DEL of the list, then of plugins with a record.

    The list is the one by which the container was attached, if it was kept.
    """
    network = _network(directory, owner.network, left.entry)
    at = runtime_attachments.Attachment(owner.container_id, "", owner.ifname)
    if left.entry is not None and network is not None:
        attached = replace(left.entry.attachment, netns="")
        yield partial(runtime.detach, network, attached)
    elif left.entry is not None:
        yield partial(runtime.cache.delete, owner.network, left.entry.attachment)
    # Who leased the address comes last, as in DEL.
    for plugin in sorted(left.records, key=lambda p: (left.records[p]["ipam"], p)):
        if attachments.read(plugin, owner, _RECORD) == left.records[plugin]:
            conf = _conf(owner.network, plugin, network)
            yield partial(runtime.invoker.run, "DEL", conf, at)


def _network(directory: str, name: str, entry: Entry | None) -> Network | None:
    kept = os.path.join(directory, "cached list")
    try:
        if entry is not None and entry.config:
            return networks.parse(entry.config, kept)
        return networks.load(directory, name)
    except CNIError:
        return None


def _conf(name: str, plugin: str, network: Network | None) -> dict[str, Any]:
    for conf in network.plugins if network else ():
        if network and conf.get("type") == plugin:
            return {**conf, "name": name, "cniVersion": network.version}
    return {"name": name, "cniVersion": _VERSION, "type": plugin}
