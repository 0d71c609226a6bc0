# SPDX-License-Identifier: Apache-2.0
"""A container that runs is on a further network, or on one less."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from cni_common.kernel import links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.spec.environment import validate_ifname
from cni_common.spec.errors import CNIError, Code
from cnipy import asked, change
from cnipy.attachment import DEFAULT_IFNAME, Attachment, container_id_of
from cnipy.containers import Containers
from cnipy.verb import Lines
from cnipy.words import document

if TYPE_CHECKING:
    import argparse

    from cni_common.kernel.link_answer import Link
    from cnipy.containers import Container, Known
    from cnipy.context import Context

_STEM = DEFAULT_IFNAME.rstrip("0123456789")


def connect(context: Context, options: argparse.Namespace) -> Lines:
    """Attach a container to a network, under its own ID and the next free name.

    What a killed call has left of the same is removed before. Raises CNIError, with
    nothing left of a failure.
    """
    network = context.network(options.network)
    containers = Containers(context)
    container, known = _found(containers, options.container)
    for each in _unended(context, options, known):
        begun = Attachment(each.container_id, each.netns, each.ifname)
        context.runtime.delete(network, begun)
        known.remove(each)
    _require_apart(options, known)
    attachment = Attachment(
        container_id=_id_of(container, known),
        netns=container.netns,
        ifname=_free_name(container, known, options.ifname),
        args=_args(context, known),
    )
    attachment = asked.with_options(attachment, network, options)
    context.warn(network, attachment.capability_args)
    result = context.runtime.add(network, attachment)
    at = ", ".join(ip["address"] for ip in result.get("ips") or ()) or "no address"
    told = {**document(network.name, attachment), "result": result}
    where = f"{network.name} {attachment.container_id}/{attachment.ifname}"
    return Lines(told, [f"{where}: {at}"])


def disconnect(context: Context, options: argparse.Namespace) -> Lines:
    """Detach a container from a network by the list that attached it.

    Raises CNIError; another call goes on where this one could not.
    """
    _, known = _found(Containers(context), options.container, options.network)
    on = [each for each in known if each.network == options.network]
    meant = [each for each in on if options.ifname in {None, each.ifname}]
    if len(meant) != 1:
        where = " ".join(filter(None, (options.network, options.ifname)))
        several = "it is attached there more than once, --ifname chooses"
        cause = several if meant else "it is not attached there"
        msg = f"disconnect {options.container} from {where}: {cause}"
        there = ", ".join(f"{each.network} {each.ifname}" for each in known)
        raise CNIError(Code.UNKNOWN_CONTAINER, msg, f"it is on: {there or 'none'}")
    (one,) = meant
    attachment = Attachment(one.container_id, one.netns, one.ifname)
    entry = context.cache.read(one.network, attachment)
    network = change.list_of(context, entry) if entry else context.network(one.network)
    context.runtime.delete(network, attachment)
    return Lines(document(network.name, attachment))


def _found(
    containers: Containers, word: str, network: str = ""
) -> tuple[Container, list[Known]]:
    """Return whom a word means, and the attachments that there are of it.

    Raises Code.UNKNOWN_CONTAINER.
    """
    container = containers.find(word, network)
    if container is None:
        msg = f"find container {word}: nothing is called so"
        there = " ".join(sorted({each.container_id for each in containers.known}))
        raise CNIError(Code.UNKNOWN_CONTAINER, msg, f"there are: {there or 'none'}")
    return container, containers.of(container)


def _unended(
    context: Context, options: argparse.Namespace, known: list[Known]
) -> list[Known]:
    """Return what a call has begun of what is asked for, and not ended.

    A runtime keeps a result when all plugins have succeeded: of an attachment without
    one nobody has heard, if those who attached the container keep them here.
    """
    kept = {(each.network, *each.key) for each in context.cache.all_entries()}
    here = {container_id for _, container_id, _ in kept}
    return [
        each
        for each in known
        if each.network == options.network
        and options.ifname in {None, each.ifname}
        and each[:3] not in kept
        and (
            each.container_id in here
            or each.container_id == container_id_of(each.netns)
        )
    ]


def _require_apart(options: argparse.Namespace, known: list[Known]) -> None:
    """Raise Code.INVALID_ENVIRONMENT where the container is there already.

    A second interface on the same network is somebody's wish who names it.
    """
    there = [each.ifname for each in known if each.network == options.network]
    if there and options.ifname is None:
        msg = f"connect {options.container} to {options.network}: it is on it already"
        hint = f"as {', '.join(there)}; --ifname gives it another interface there"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, hint)


def _id_of(container: Container, known: list[Known]) -> str:
    """Return the container's ID: by it, and by its attachments, else cnitool's."""
    of_others = (each.container_id for each in known)
    return container.container_id or next(of_others, container_id_of(container.netns))


def _free_name(container: Container, known: list[Known], wanted: str | None) -> str:
    """Return the name that the new interface is to have.

    Raises Code.INVALID_ENVIRONMENT for one that there is, Code.INVALID_NETNS for a
    container that is gone.
    """
    taken = {each.ifname for each in known}
    if not container.identity:
        msg = f"connect {container.word}: its network namespace is gone"
        hint = container.netns or "nothing says where it was"
        raise CNIError(Code.INVALID_NETNS, msg, hint)
    with netns.entered_path(container.netns), Netlink() as netlink:
        if wanted is None:
            names = (f"{_STEM}{number}" for number in count())
            return next(
                name
                for name in names
                if name not in taken and links.get(netlink, name) is None
            )
        validate_ifname(wanted)
        there: Link | None = links.get(netlink, wanted)
    if there is not None or wanted in taken:
        msg = f"connect {container.word}: it has an interface {wanted} already"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg)
    return wanted


def _args(context: Context, known: list[Known]) -> tuple[tuple[str, str], ...]:
    """Return CNI_ARGS as the container's runtime gave it, which has its name, too."""
    of_it = {each[:3] for each in known}
    for entry in context.cache.all_entries():
        if (entry.network, *entry.key) in of_it and entry.attachment.args:
            return entry.attachment.args
    return ()
