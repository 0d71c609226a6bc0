# SPDX-License-Identifier: Apache-2.0
"""The bandwidth plugin's record of an attachment: what DEL, GC and CHECK will need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cni_common import attachments
from plugins.bandwidth.limits import Limits

if TYPE_CHECKING:
    from cni_common.naming import Attachment

PLUGIN = "bandwidth"


@dataclass(frozen=True)
class Record:
    """What ADD does: to which host end, by which ifb, and the limits.

    `veth` has `index` and `mtu`; the ifb has one of the names `ifbs`, and `ifb_mac`
    by which it is told from another's.
    """

    veth: str
    index: int
    mtu: int
    ifbs: tuple[str, ...]
    ifb_mac: str
    limits: Limits


def write(owner: Attachment, record: Record) -> None:
    """Write down what is done, or about to be done, for `owner`."""
    document = {
        "hostVeth": record.veth,
        "index": record.index,
        "mtu": record.mtu,
        "ifbs": list(record.ifbs),
        "ifbMac": record.ifb_mac,
        "limits": record.limits.document(),
    }
    attachments.write(PLUGIN, owner, document)


def read(owner: Attachment) -> Record | None:
    """Return the record of `owner`, or None when there is none."""
    document = attachments.read(PLUGIN, owner)
    if document is None:
        return None
    return Record(
        str(document.get("hostVeth", "")),
        int(document.get("index", 0)),
        int(document.get("mtu", 0)),
        tuple(document.get("ifbs", [])),
        str(document.get("ifbMac", "")),
        Limits.read(document.get("limits", {})),
    )


def delete(owner: Attachment) -> None:
    """Have no record of `owner`."""
    attachments.delete(PLUGIN, owner)
