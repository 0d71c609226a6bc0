# SPDX-License-Identifier: Apache-2.0
"""The ptp plugin's record of an attachment: what DEL, GC and CHECK will need."""

from __future__ import annotations

from cni_common import attachments
from cni_common.pair_record import TABLE, PairRecord

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment

PLUGIN = "ptp"


def write(owner: Attachment, record: PairRecord) -> None:
    """Write down what is done, or about to be done, for `owner`."""
    attachments.write(PLUGIN, owner, record.document())


def read(owner: Attachment) -> PairRecord | None:
    """Return the record of `owner`, or None when there is none."""
    document = attachments.read(PLUGIN, owner, TABLE)
    return None if document is None else PairRecord(**PairRecord.members(document))


def delete(owner: Attachment) -> None:
    """Have no record of `owner`."""
    attachments.delete(PLUGIN, owner)


def holder_of(host_veth: str) -> tuple[Attachment, PairRecord] | None:
    """Return whose the link is, and its record; for an ADD that it is in the way of."""
    for owner, document in attachments.of_plugin(PLUGIN, TABLE):
        if document["hostVeth"] == host_veth:
            return owner, PairRecord(**PairRecord.members(document))
    return None
