# SPDX-License-Identifier: Apache-2.0
"""Records: what a plugin did for an attachment, so that DEL needs nobody's memory.

One JSON file a plugin and attachment, /run/cni/cnipy/<plugin>/<network>/<cid>@<if>.
The record is written before what it describes is made, for a runtime may kill the
plugin at any moment. One that is damaged, or that says it is another attachment's, is
told and passed over: for finding what there is, that is as if there were none.
"""

from __future__ import annotations

import os

from cni_common import naming, own_files, shapes, state
from cni_common.kernel import netns_identity
from cni_common.naming import Attachment
from cni_common.spec import environment
from cni_common.spec.digests import sha256_hex
from cni_common.spec.errors import CNIError
from cni_common.spec.values import replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from cni_common.frame.rollback import Gather
    from cni_common.shapes import Table

_IDENTITY = dict.fromkeys(("network", "containerID", "ifname"), (shapes.text, ""))
_NAMESPACE = dict.fromkeys(("netns", "netnsIdentity"), (shapes.text, ""))


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


def read(plugin: str, attachment: Attachment, table: Table) -> dict[str, Any] | None:
    """Return what the record has of `table`, or None when there is none to believe."""
    directory = _directory(plugin, attachment.network)
    found = _read(directory, _file(attachment), table)
    return found[1] if found else None


def distrust(plugin: str, attachment: Attachment, cause: str) -> None:
    """Tell the administrator that the record is passed over, and why."""
    directory = _directory(plugin, attachment.network)
    state.distrust(directory, _file(attachment), cause)


def exists(plugin: str, attachment: Attachment) -> bool:
    """Tell whether there is a record, be it damaged."""
    directory = _directory(plugin, attachment.network)
    return os.path.lexists(os.path.join(directory, _file(attachment)))


def written(plugin: str, attachment: Attachment) -> float:
    """Return when the record was written, in seconds since 1970; 0 without one."""
    directory = _directory(plugin, attachment.network)
    try:
        return os.lstat(os.path.join(directory, _file(attachment))).st_mtime
    except OSError:
        return 0.0


def held(
    plugin: str, attachment: Attachment, *, wait: bool = True
) -> AbstractContextManager[bool]:
    """Hold the record: of DEL and repair, one is at the attachment at a time.

    Tells whether there is one to hold, that nobody holds if that is not waited for.
    """
    directory = _directory(plugin, attachment.network)
    return own_files.held(os.path.join(directory, _file(attachment)), wait=wait)


def turn(attachment: Attachment, *, wait: bool = True) -> AbstractContextManager[bool]:
    """Return a block in which no other ADD of the attachment is at work.

    A runtime that lost patience repeats a call that may go on; undoing one would take
    lease and record from the other. Locks are not one an attachment: they stay. Tells
    whether it is our turn, as `state.lock` does.
    """
    return state.lock(f"adding-{attachment.digest()[:3]}", wait=wait)


def delete(plugin: str, attachment: Attachment) -> None:
    """Make the record absent."""
    state.delete(_directory(plugin, attachment.network), _file(attachment))


def under_other_networks(plugin: str, attachment: Attachment) -> list[Attachment]:
    """Return under which other networks `plugin` has a record of the attachment.

    Only where it is this very attachment: its namespace is the one that is meant, or
    is gone, so that nobody can miss what is released. Networks are few; of each one
    file is looked for.
    """
    found = []
    meant = netns_identity.at(attachment.netns)
    for network in state.names(state.path(plugin)):
        read = _read(state.path(plugin, network), _file(attachment), _NAMESPACE)
        if read is None or read[0].network == attachment.network:
            continue
        identity = read[1]["netnsIdentity"]
        lives = netns_identity.lives(read[1]["netns"], identity)
        if identity and (identity == meant or not lives):
            found.append(replace(attachment, network=read[0].network))
    return found


def of_plugin(
    plugin: str, table: Table, errors: Gather | None = None
) -> Iterator[tuple[Attachment, dict[str, Any]]]:
    """Yield every recorded attachment of `plugin`; for what is rare only.

    With `errors`, one that cannot be read is an error of that, and passed over.
    """
    attempt = errors.attempt if errors else _attempt
    for network in state.names(state.path(plugin)):
        directory = state.path(plugin, network)
        for name in attempt(state.names, directory) or ():
            found = attempt(_read, directory, name, table)
            if found:
                yield found


def any_of(plugin: str, but: Attachment | None = None) -> bool:
    """Tell whether `plugin` has a record of any attachment; looks at no more than two.

    That of `but` does not count. Networks are few.
    """
    for network in state.names(state.path(plugin)):
        directory = state.path(plugin, network)
        is_own = but is not None and directory == _directory(plugin, but.network)
        if _any_in(directory, _file(but) if but and is_own else ""):
            return True
    return False


def _any_in(directory: str, but: str) -> bool:
    found = state.any_name(directory, lambda name: name[0] != "." and name != but)
    return bool(found)


def identities(
    network: str, valid: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Return the `valid` ones, and as whom they are known after a record was lost."""
    known = [naming.recalled(Attachment(network, *identity)) for identity in valid]
    return {*valid, *((item.container_id, item.ifname) for item in known)}


def stale(
    plugin: str, network: str, valid: Collection[tuple[str, str]], errors: Gather
) -> list[Attachment]:
    """Return the recorded attachments that are none of the `valid` ones.

    Also those whose record is damaged. One that cannot be told by its name, and not
    read either, is an error of `errors`, and passed over.
    """
    directory = _directory(plugin, network)
    known = identities(network, valid)
    kept = {_file(Attachment(network, *identity)) for identity in known}
    found = []
    for name in errors.attempt(state.names, directory) or []:
        if name not in kept:
            owner = _of_name(network, name) or errors.attempt(
                _of_content, directory, name
            )
            if owner is not None:
                found.append(owner)
    return found


def _attempt(step: Callable[..., Any], *args: Any) -> Any:
    return step(*args)


def _of_name(network: str, name: str) -> Attachment | None:
    container_id, at, ifname = name.partition("@")
    try:
        environment.validate_container_id(container_id)
        environment.validate_ifname(ifname)
    except CNIError:
        return None
    return Attachment(network, container_id, ifname) if at and ifname else None


def _of_content(directory: str, name: str) -> Attachment | None:
    found = _read(directory, name, {})
    return found[0] if found else None


def _read(
    directory: str, name: str, table: Table
) -> tuple[Attachment, dict[str, Any]] | None:
    document = state.read_table(directory, name, _IDENTITY | dict(table))
    if document is None:
        return None
    owner = Attachment(*(document[key] for key in _IDENTITY))
    if _file(owner) != name or not directory.endswith(f"/{_short(owner.network)}"):
        state.distrust(directory, name, "it says that it is of another attachment")
        return None
    return owner, document


def _directory(plugin: str, network: str) -> str:
    return state.path(plugin, _short(network))


def _file(attachment: Attachment) -> str:
    # "@" cannot occur in a container ID, so the pair is unambiguous.
    return _short(f"{attachment.container_id}@{attachment.ifname}")


def _short(name: str) -> str:
    if len(name.encode("utf-8", "surrogateescape")) <= state.NAME_MAX:
        return name
    return f"sha256-{sha256_hex(name)}"
