# SPDX-License-Identifier: Apache-2.0
"""What a plugin was asked for a living attachment is another by now: ADD once more.

The plugin is one that comes behind another, and is of this suite: it puts what is
wanted in the place of what was, on record and all or nothing. What the runtime has
kept in its cache follows before that counts as done, so that its DEL and CHECK say the
same. Of two changes one comes after the other.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from cni_common import attachments, shapes
from cni_common.attachment import record
from cni_common.frame.accounted import accounted
from cni_common.frame.plugin import admitted, require_descriptors
from cni_common.kernel import netns_identity
from cni_common.naming import Attachment
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.request import Request
from cni_common.spec.values import dataclass, replace
from cnipy import network as networks
from cnipy.containers import Containers
from cnipy.invoke import variables
from cnipy.runtime import configuration, converted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cni_common.attachment.record import Record
    from cni_common.spec.result import Result
    from cnipy.cache import Entry
    from cnipy.context import Context
    from cnipy.network import Network

_NAMESPACE = dict.fromkeys(("netns", "netnsIdentity"), (shapes.text, ""))


@dataclass(frozen=True)
class Living:
    """A living attachment, the list that made it, and of that one plugin's part.

    `entry` is what the runtime has kept of it.
    """

    entry: Entry
    network: Network
    plugin: dict[str, Any]

    def __str__(self) -> str:
        at = self.entry.attachment
        return f"{self.entry.network} {at.container_id}/{at.ifname}"

    @property
    def kind(self) -> str:
        """The type of the plugin."""
        return str(gojson.member(self.plugin, "type"))

    @property
    def owner(self) -> Attachment:
        """Whose the records are."""
        return _owner(self.entry)

    def record(self) -> Record | None:
        """Return what the plugin has on record, unless a change of it was killed."""
        found = record.read(self.kind, self.owner)
        return found if found and found.is_made else None

    def asked(self, capability: str) -> Any:
        """Return the capability's value as the runtime has kept it, or None."""
        return self.entry.attachment.capability_args.get(capability)

    def takes(self, capability: str) -> bool:
        """Tell whether the list has the plugin given that capability, if it is one."""
        if not capability:
            return True
        declared = gojson.member(self.plugin, "capabilities")
        return isinstance(declared, dict) and declared.get(capability) is True

    def asking(self, capability: str, value: object) -> Entry:
        """Return what is to be kept where `value` is asked for, something false for
        nothing.
        """
        at = self.entry.attachment
        others = {k: v for k, v in at.capability_args.items() if k != capability}
        given = others | ({capability: value} if value else {})
        return replace(self.entry, attachment=replace(at, capability_args=given))


def chosen(
    context: Context,
    word: str,
    kind: str,
    capability: str,
    options: Mapping[str, str | None],
) -> Living:
    """Return the one attachment of a container that `kind` has a part in.

    `options` may name the network and the ifname. Raises CNIError, saying what there
    is, where none is meant, or several.
    """
    found = every(context, word, kind, capability, options)
    if len(found) > 1:
        msg = f"find container {word}: {len(found)} attachments of it have {kind}"
        hint = f"{', '.join(map(str, found))}; --network or --ifname chooses"
        raise CNIError(Code.UNKNOWN_CONTAINER, msg, hint)
    return found[0]


def every(
    context: Context,
    word: str,
    kind: str,
    capability: str,
    options: Mapping[str, str | None],
) -> list[Living]:
    """Return the attachments of a container that `kind` has a part in, at least one.

    Raises as `chosen` does, but for several.
    """
    entries = of_container(context, word, options)
    lists = [(entry, list_of(context, entry)) for entry in entries]
    found = [
        Living(entry, network, plugin)
        for entry, network in lists
        for plugin in network.plugins
        if gojson.member(plugin, "type") == kind
    ]
    on = ", ".join(sorted({entry.network for entry in entries}))
    if not found:
        msg = f"find {kind} of container {word}: the list of {on} has none"
        raise CNIError(Code.INVALID_CONFIG, msg, f"with {kind} in it, add again")
    able = [each for each in found if each.takes(capability)]
    if not able:
        msg = f"find {kind} of container {word}: on {on} it takes no {capability}"
        hint = f'"capabilities": {{"{capability}": true}} has to be in the list on add'
        raise CNIError(Code.INVALID_CONFIG, msg, hint)
    for each in able:
        _require_own(context, each)
    return able


def of_container(
    context: Context, word: str, options: Mapping[str, str | None]
) -> list[Entry]:
    """Return what runtimes have kept of a container's attachments, at least one.

    Raises Code.UNKNOWN_CONTAINER where there is none, saying what there is.
    """
    network, ifname = options.get("network"), options.get("ifname")
    kept = [_located(context, each) for each in context.cache.all_entries()]
    container = Containers(context).find(word, network or "")
    own = [each for each in kept if container and container.has(_owner(each), "")]
    if not own:
        msg = f"find container {word}: no result of it in {context.cache.results}"
        there = sorted({each.attachment.container_id for each in kept})
        hint = f"there are: {' '.join(there) or 'none'}"
        raise CNIError(Code.UNKNOWN_CONTAINER, msg, hint)
    meant = [
        each
        for each in own
        if network in {None, each.network} and ifname in {None, each.key[1]}
    ]
    if not meant:
        where = " ".join(filter(None, (network, ifname)))
        msg = f"find container {word} on {where}: it is not attached there"
        there = sorted(f"{each.network} {each.key[1]}" for each in own)
        raise CNIError(Code.UNKNOWN_CONTAINER, msg, f"it is on: {', '.join(there)}")
    return meant


def _owner(entry: Entry) -> Attachment:
    return Attachment(entry.network, *entry.key, entry.attachment.netns)


def list_of(context: Context, entry: Entry) -> Network:
    """Return the list that made the attachment: the one in use may be another."""
    if not entry.config:
        return context.network(entry.network)
    kept = os.path.join(context.conf_directory, "cached list")
    return networks.parse(entry.config, kept)


def _located(context: Context, entry: Entry) -> Entry:
    """Return the entry with the path of the namespace, which libcni kept since 1.2."""
    if entry.attachment.netns:
        return entry
    told = _told(context, entry)
    there = replace(entry.attachment, netns=told["netns"] if told else "")
    return replace(entry, attachment=there)


def _told(context: Context, entry: Entry) -> dict[str, Any] | None:
    """Return which namespace a plugin of this suite has on record, or None."""
    owner = _owner(entry)
    found = (attachments.read(p, owner, _NAMESPACE) for p in context.suite.recording)
    return next(filter(None, found), None)


def _require_own(context: Context, living: Living) -> None:
    """Raise unless plugins of this suite have made the attachment, and it lives.

    What another suite's plugin has made, ours neither knows nor would find again.
    """
    told = _told(context, living.entry)
    if told is None:
        msg = f"change {living}: no plugin of this suite has a record of it"
        raise CNIError(Code.UNKNOWN_CONTAINER, msg, "another suite may have made it")
    if not netns_identity.lives(told["netns"], told["netnsIdentity"]):
        msg = f"change {living}: its network namespace is gone"
        raise CNIError(Code.INVALID_NETNS, msg, told["netns"])


def make(context: Context, living: Living, wanted: Entry) -> Result:
    """Have the plugin do what `wanted` asks for; return what the cache has then.

    Raises CNIError, with all as it was: on record, in the kernel and in the cache.
    """
    plugin = context.suite.plugin(living.kind)
    kept: list[Result] = []

    def keep(result: Result) -> None:
        told = result.document(request.cni_version)
        context.cache.change(living.entry, replace(wanted, result=told))
        kept.append(result)

    request = admitted(_request(context, living, wanted), plugin.versions)
    require_descriptors()
    with (
        accounted(request, living.kind, context.suite.version, context.tell),
        attachments.held(living.kind, living.owner),
    ):
        result = plugin.call(request.delivering(keep))
    assert result is not None  # an ADD has one
    if not kept:  # there was nothing to be done
        keep(result)
    for text in request.log.warnings():
        context.tell(f"warning: {text}")
    return result


def _request(context: Context, living: Living, wanted: Entry) -> Request:
    """Return the ADD that asks for what `wanted` does."""
    result = converted(wanted.result, living.network.version)
    conf = configuration(living.network, living.plugin, wanted.attachment, result)
    env = {**context.env, **variables("ADD", wanted.attachment)}
    env["CNI_PATH"] = ":".join(context.plugin_path)
    return Request.read("ADD", env, json.dumps(conf, sort_keys=True).encode())
