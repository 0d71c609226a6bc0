# SPDX-License-Identifier: Apache-2.0
"""What DEL and GC take away: rules first, then the link."""

from __future__ import annotations

from cni_common import duplicates, masquerade, naming, spoofcheck, veth_pair
from cni_common.kernel import netns
from cni_common.rollback import Gather
from plugins.bridge import record

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.naming import Attachment
    from cni_common.spec.request import Request
    from cni_common.spec.result import Interface
    from plugins.bridge.record import Record


def rules_and_link(owner: Attachment, request: Request, noted: Record) -> None:
    """Have no rule and no link of the attachment that `noted` describes."""
    with Gather() as each:
        each(recorded, owner, noted)
        if netns.lives(request.netns, noted.netns_identity):
            each(veth_pair.delete_inside, owner, request.netns)


def stale(owner: Attachment) -> None:
    """Have nothing of an attachment that is known from its record only.

    Of one whose record is damaged, what is found without.
    """
    noted = record.read(owner)
    if noted is not None:
        recorded(owner, noted)
    else:
        unrecorded(owner, "")
    record.delete(owner)


def recorded(owner: Attachment, noted: Record) -> None:
    """Have no rule and no host veth of what `noted` describes."""
    with Gather() as each:
        if noted.spoofcheck:
            each(spoofcheck.release, noted.host_veth)
        if noted.duplicates:
            each(duplicates.release, owner)
        if noted.masquerade:
            each(masquerade.release, owner, noted.masquerade)
        each(veth_pair.delete_host_end, owner, noted.host_veth, noted.host_mac)


def unrecorded(owner: Attachment, path: str, made: Collection[Interface] = ()) -> None:
    """Have nothing of an attachment that we do not remember.

    It was deleted before, or its record is lost, or the reference plugin made it. What
    was `made`, if that is known, tells its link from another suite's.
    """
    from cni_common import inherited  # noqa: PLC0415 - rare: a foreign attachment

    with Gather() as each:
        held = each(veth_pair.delete_inside, owner, path, made) or []
        name = naming.host_veth(owner)
        each(veth_pair.delete_host_end, owner, name)
        each(spoofcheck.release, name)
        each(duplicates.release, owner)
        each(masquerade.release, owner)
        each(inherited.spoofcheck, owner)
        each(inherited.masquerade, owner, held)
