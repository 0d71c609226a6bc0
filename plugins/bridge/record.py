# SPDX-License-Identifier: Apache-2.0
"""The bridge plugin's record of an attachment: what DEL, GC and CHECK will need."""

from __future__ import annotations

from cni_common import attachments, shapes
from cni_common.pair_record import TABLE, PairRecord
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from typing import Any

    from cni_common.naming import Attachment
    from cni_common.shapes import Table
    from cni_common.spec.fields import IPInterface

PLUGIN = "bridge"
_TABLE: Table = {
    **TABLE,
    "bridge": (shapes.link, ""),
    "spoofcheck": (shapes.flag, False),
    "duplicates": (shapes.flag, False),
    "gateways": (shapes.listed(shapes.interface), ()),
}


@dataclass(frozen=True, kw_only=True)
class Record(PairRecord):
    """What ADD does for a port of `bridge`.

    `gateways` are the addresses of the bridge that the attachment relies on,
    `duplicates` tells whether a rule keeps its packets from coming twice.
    """

    bridge: str
    spoofcheck: bool = False
    duplicates: bool = False
    gateways: tuple[IPInterface, ...] = ()


def write(owner: Attachment, record: Record) -> None:
    """Write down what is done, or about to be done, for `owner`."""
    document = {
        **record.document(),
        "bridge": record.bridge,
        "spoofcheck": record.spoofcheck,
        "duplicates": record.duplicates,
        "gateways": [str(address) for address in record.gateways],
    }
    attachments.write(PLUGIN, owner, document)


def read(owner: Attachment) -> Record | None:
    """Return the record of `owner`, or None when there is none."""
    document = attachments.read(PLUGIN, owner, _TABLE)
    return None if document is None else _record(document)


def delete(owner: Attachment) -> None:
    """Have no record of `owner`."""
    attachments.delete(PLUGIN, owner)


def others_on(bridge: str, owner: Attachment) -> list[Record]:
    """Return the records of all other attachments to `bridge`; for a failed ADD."""
    records = [
        _record(document)
        for other, document in attachments.of_plugin(PLUGIN, _TABLE)
        if other != owner
    ]
    return [record for record in records if record.bridge == bridge]


def _record(document: dict[str, Any]) -> Record:
    return Record(
        **PairRecord.members(document),
        bridge=document["bridge"],
        spoofcheck=document["spoofcheck"],
        duplicates=document["duplicates"],
        gateways=document["gateways"],
    )
