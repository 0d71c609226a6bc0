# SPDX-License-Identifier: Apache-2.0
"""The bandwidth plugin's record of an attachment: what DEL, GC and CHECK will need."""

from __future__ import annotations

from cni_common import attachments, shapes
from cni_common.spec.values import dataclass
from plugins.bandwidth.limits import Limits

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.shapes import Table

PLUGIN = "bandwidth"
_TABLE: Table = {
    "hostVeth": (shapes.link, ""),
    "index": (shapes.number, 0),
    "mtu": (shapes.number, 0),
    "ifbs": (shapes.listed(shapes.link), ()),
    "ifbMac": (shapes.mac, ""),
    "limits": (Limits.read, Limits()),
    "addsIngress": (shapes.flag, True),
}


@dataclass(frozen=True)
class Record:
    """What ADD does: to which host end, by which ifb, and the limits.

    `veth` has `index` and `mtu`; the ifb has one of the names `ifbs`, and `ifb_mac`
    by which it is told from another's. `adds_ingress` tells whether the discipline
    for its filters is ours: an agent of the host may have one there.
    """

    veth: str
    index: int
    mtu: int
    ifbs: tuple[str, ...]
    ifb_mac: str
    limits: Limits
    adds_ingress: bool = True


def write(owner: Attachment, record: Record) -> None:
    """Write down what is done, or about to be done, for `owner`."""
    document = {
        "hostVeth": record.veth,
        "index": record.index,
        "mtu": record.mtu,
        "ifbs": list(record.ifbs),
        "ifbMac": record.ifb_mac,
        "limits": record.limits.document(),
        "addsIngress": record.adds_ingress,
    }
    attachments.write(PLUGIN, owner, document)


def read(owner: Attachment) -> Record | None:
    """Return the record of `owner`, or None when there is none."""
    document = attachments.read(PLUGIN, owner, _TABLE)
    if document is None:
        return None
    return Record(
        document["hostVeth"],
        document["index"],
        document["mtu"],
        document["ifbs"],
        document["ifbMac"],
        document["limits"],
        document["addsIngress"],
    )


def delete(owner: Attachment) -> None:
    """Have no record of `owner`."""
    attachments.delete(PLUGIN, owner)
