# SPDX-License-Identifier: Apache-2.0
"""The ptp plugin's record of an attachment: what DEL, GC and CHECK will need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cni_common import attachments
from cni_common.pair_record import PairRecord

if TYPE_CHECKING:
    from cni_common.naming import Attachment

PLUGIN = "ptp"


@dataclass(frozen=True, kw_only=True)
class Record(PairRecord):
    """What ADD does; `complete` as soon as all of it is done.

    One that is not complete tells of an ADD that was killed.
    """

    complete: bool = False


def write(owner: Attachment, record: Record) -> None:
    """Write down what is done, or about to be done, for `owner`."""
    document = {**record.document(), "complete": record.complete}
    attachments.write(PLUGIN, owner, document)


def read(owner: Attachment) -> Record | None:
    """Return the record of `owner`, or None when there is none."""
    document = attachments.read(PLUGIN, owner)
    return None if document is None else _record(document)


def delete(owner: Attachment) -> None:
    """Have no record of `owner`."""
    attachments.delete(PLUGIN, owner)


def holder_of(host_veth: str) -> tuple[Attachment, Record] | None:
    """Return whose the link is, and its record; for an ADD that it is in the way of."""
    for owner, document in attachments.of_plugin(PLUGIN):
        if document.get("hostVeth") == host_veth:
            return owner, _record(document)
    return None


def _record(document: dict[str, Any]) -> Record:
    # A record of before there was the key is of an ADD that ended.
    complete = document.get("complete") is not False
    return Record(**PairRecord.members(document), complete=complete)
