# SPDX-License-Identifier: Apache-2.0
"""Records: what a plugin did for an attachment, so that DEL needs nobody's memory.

One JSON file a plugin and attachment, /run/cni/cnipy/<plugin>/<network>/<cid>@<if>.
The record is written before what it describes is made, for a runtime may kill the
plugin at any moment.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cni_common import naming, state
from cni_common.kernel import netns_identity
from cni_common.naming import Attachment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


def write(plugin: str, attachment: Attachment, record: dict[str, Any]) -> None:
    """Record what `plugin` does for `attachment`; replaces an earlier record.

    Whose it is and in which namespace is recorded, too, if `record` does not say it.
    """
    directory = state.ensure_directory(plugin, _short(attachment.network))
    identity = {
        "network": attachment.network,
        "containerID": attachment.container_id,
        "ifname": attachment.ifname,
    }
    if attachment.netns:
        identity["netns"] = attachment.netns
        identity["netnsIdentity"] = netns_identity.at(attachment.netns)
    state.write(directory, _file(attachment), identity | record)


def read(plugin: str, attachment: Attachment) -> dict[str, Any] | None:
    """Return the record, or None when there is none."""
    record = state.read(_directory(plugin, attachment.network), _file(attachment))
    return record if isinstance(record, dict) else None


def delete(plugin: str, attachment: Attachment) -> None:
    """Make the record absent."""
    state.delete(_directory(plugin, attachment.network), _file(attachment))


def elsewhere(plugin: str, attachment: Attachment) -> list[Attachment]:
    """Return under which other networks `plugin` has a record of the attachment.

    Only where it is this very attachment: its namespace is the one that is meant, or
    is gone, so that nobody can miss what is released. Networks are few; of each one
    file is looked for.
    """
    found = []
    meant = netns_identity.at(attachment.netns)
    for network in state.names(state.path(plugin)):
        record = state.read(state.path(plugin, network), _file(attachment))
        if not isinstance(record, dict) or record.get("network") == attachment.network:
            continue
        identity = str(record.get("netnsIdentity", ""))
        lives = netns_identity.lives(str(record.get("netns", "")), identity)
        if identity and (identity == meant or not lives):
            found.append(replace(attachment, network=str(record.get("network"))))
    return found


def of_network(
    plugin: str, network: str
) -> Iterator[tuple[Attachment, dict[str, Any]]]:
    """Yield every recorded attachment of `plugin` on `network`; for GC only."""
    for attachment, record in _in(_directory(plugin, network)):
        if attachment.network == network:
            yield attachment, record


def of_plugin(plugin: str) -> Iterator[tuple[Attachment, dict[str, Any]]]:
    """Yield every recorded attachment of `plugin`; for what is rare only."""
    for network in state.names(state.path(plugin)):
        yield from _in(state.path(plugin, network))


def any_of(plugin: str) -> bool:
    """Tell whether `plugin` has a record of any attachment."""
    return any(
        state.names(state.path(plugin, n)) for n in state.names(state.path(plugin))
    )


def identities(
    network: str, valid: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Return the `valid` ones, and as whom they are known after a record was lost."""
    known = [naming.recalled(Attachment(network, *identity)) for identity in valid]
    return {*valid, *((item.container_id, item.ifname) for item in known)}


def stale(
    plugin: str, network: str, valid: Collection[tuple[str, str]]
) -> list[Attachment]:
    """Return the recorded attachments that are none of the `valid` ones."""
    kept = identities(network, valid)
    return [
        attachment
        for attachment, _ in of_network(plugin, network)
        if (attachment.container_id, attachment.ifname) not in kept
    ]


def _in(directory: str) -> Iterator[tuple[Attachment, dict[str, Any]]]:
    for name in state.names(directory):
        record = state.read(directory, name)
        if not isinstance(record, dict):
            continue
        identity = [record.get(key) for key in ("network", "containerID", "ifname")]
        if all(isinstance(part, str) for part in identity):
            yield Attachment(*map(str, identity)), record


def _directory(plugin: str, network: str) -> str:
    return state.path(plugin, _short(network))


def _file(attachment: Attachment) -> str:
    # "@" cannot occur in a container ID, so the pair is unambiguous.
    return _short(f"{attachment.container_id}@{attachment.ifname}")


def _short(name: str) -> str:
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) <= state.NAME_MAX:
        return name
    return "sha256-" + hashlib.sha256(encoded).hexdigest()
