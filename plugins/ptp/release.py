# SPDX-License-Identifier: Apache-2.0
"""What DEL and GC take away: rules first, then the link and its routes."""

from __future__ import annotations

from cni_common import masquerade, naming, veth_pair
from cni_common.kernel import netns
from cni_common.rollback import Gather
from plugins.ptp import record

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.naming import Attachment
    from cni_common.pair_record import PairRecord
    from cni_common.spec.request import Request
    from cni_common.spec.result import Interface


def rules_and_link(owner: Attachment, request: Request, noted: PairRecord) -> None:
    """Have no rule and no link of the attachment that `noted` describes."""
    with Gather() as each:
        each(_recorded, owner, noted)
        if netns.lives(request.netns, noted.netns_identity):
            each(veth_pair.delete_inside, owner, request.netns)


def stale(owner: Attachment) -> None:
    """Have nothing of an attachment that is known from its record only.

    Of one whose record is damaged, what is found without.
    """
    noted = record.read(owner)
    if noted is not None:
        _recorded(owner, noted)
    else:
        unrecorded(owner, "")
    record.delete(owner)


def unrecorded(owner: Attachment, path: str, made: Collection[Interface] = ()) -> None:
    """Have nothing of an attachment that we do not remember.

    It was deleted before, or its record is lost, or the reference plugin made it. What
    was `made`, if that is known, tells its link from another suite's.
    """
    from cni_common import inherited  # noqa: PLC0415 - rare: a foreign attachment

    with Gather() as each:
        held = each(veth_pair.delete_inside, owner, path, made) or []
        each(veth_pair.delete_host_end, owner, naming.host_veth(owner))
        each(masquerade.release, owner)
        each(inherited.masquerade, owner, held)


def _recorded(owner: Attachment, noted: PairRecord) -> None:
    with Gather() as each:
        if noted.masquerade:
            each(masquerade.release, owner, noted.masquerade)
        each(veth_pair.delete_host_end, owner, noted.host_veth, noted.host_mac)
