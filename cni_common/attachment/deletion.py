# SPDX-License-Identifier: Apache-2.0
"""The one door of DEL: by the record, without a configuration or a model of one."""

from __future__ import annotations

from contextlib import contextmanager

from cni_common import attachments
from cni_common.attachment import record
from cni_common.attachment.node import Node
from cni_common.attachment.part import class_of
from cni_common.frame.rollback import Gather
from cni_common.naming import Attachment
from cni_common.spec.values import replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cni_common.attachment.part import Part
    from cni_common.spec.request import Request


def delete_recorded(plugin: str, request: Request) -> bool:
    """Delete what the record tells of; false if there is none to believe.

    Rules, link, lease, in this order, but for a lease that is given back by the link;
    who gave the address takes it back. Then the record, unless something failed that a
    retry could mend.
    """
    attachment = Attachment.of(request)
    with attachments.held(plugin, attachment):
        found = record.read_for_removal(plugin, attachment)
        if found is None:
            return False
        with Gather() as errors:
            with _leased(found.ipam, request, errors):
                errors.attempt(_parts, plugin, attachment, found, request)
            if not errors.raised:
                record.delete(plugin, attachment)
    return True


def delete_unrecorded(
    plugin: str,
    request: Request,
    kinds: Collection[str],
    ipam: str,
    also: Callable[[Node], None] | None = None,
) -> None:
    """Delete what the kernel says is the attachment's, and its lease; `also` this.

    It was deleted before, or its record is lost, or the reference plugin made it. What
    prevResult tells keeps another suite's link from being taken for it.
    """
    attachment = Attachment.of(request)
    with Gather() as errors:
        with _leased(ipam, request, errors):
            errors.attempt(_kinds, plugin, attachment, kinds, request, also)
        # A killed ADD may not have finished writing it, or it is damaged.
        if not errors.raised:
            errors.attempt(record.delete, plugin, attachment)


def delete_found(plugin: str, request: Request, kinds: Collection[str]) -> bool:
    """Delete by the record or without one, for a plugin of no lease; true."""
    if not delete_recorded(plugin, request):
        delete_unrecorded(plugin, request, kinds, ipam="")
    return True


def delete_stale(
    plugin: str,
    attachment: Attachment,
    kinds: Collection[str],
    request: Request | None = None,
) -> None:
    """Delete an attachment that is known from its record only, but not its lease.

    Of one whose record is damaged, what is found without.
    """
    with attachments.held(plugin, attachment):
        found = record.read_for_removal(plugin, attachment)
        if found is not None:
            _parts(plugin, replace(attachment, netns=""), found, request)
        else:
            _kinds(plugin, attachment, kinds, request)
        record.delete(plugin, attachment)


def collect(plugin: str, request: Request, kinds: Collection[str], ipam: str) -> None:
    """Delete what belongs to the network of `request` and to no valid attachment."""
    valid = request.valid_attachments
    with Gather() as errors, _leased(ipam, request, errors, "GC"):
        if valid is not None:
            for stale in attachments.stale(plugin, request.network, valid, errors):
                errors.attempt(delete_stale, plugin, stale, kinds, request)
            for kind in kinds:
                errors.attempt(class_of(kind).collect, request.network, valid)


@contextmanager
def _leased(
    ipam: str, request: Request, errors: Gather, verb: str = "DEL"
) -> Iterator[None]:
    """Have the IPAM plugin release after the block, or before it by the link."""
    if not ipam:
        yield
        return
    from cni_common.frame import delegate  # noqa: PLC0415 - chained plugins have none

    release = delegate.gc if verb == "GC" else delegate.delete
    first = delegate.gives_back_by_link(ipam, request)
    if first:
        errors.attempt(release, ipam, request)
    yield
    if not first:
        errors.attempt(release, ipam, request)


def _parts(
    plugin: str, attachment: Attachment, found: record.Record, request: Request | None
) -> None:
    with (
        Node(attachment, plugin, record=found, request=request) as node,
        Gather() as errors,
    ):
        for part in reversed(found.possible):
            errors.attempt(_removed, part, node, request)


def _removed(part: Part, node: Node, request: Request | None) -> None:
    if request is None:
        part.remove(node)
        return
    with request.log.within(type(part).__name__, "remove"):
        part.remove(node)


def _kinds(
    plugin: str,
    attachment: Attachment,
    kinds: Collection[str],
    request: Request | None,
    also: Callable[[Node], None] | None = None,
) -> None:
    with Node(attachment, plugin, request=request) as node, Gather() as errors:
        for kind in kinds:
            errors.attempt(class_of(kind).remove_unrecorded, node)
        if also is not None:
            errors.attempt(also, node)
