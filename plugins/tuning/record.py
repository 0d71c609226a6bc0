# SPDX-License-Identifier: Apache-2.0
"""The record of an attachment: what its link and parameters were like before ADD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cni_common import attachments
from plugins.tuning import backup
from plugins.tuning.values import Values

if TYPE_CHECKING:
    from cni_common.naming import Attachment

PLUGIN = "tuning"


@dataclass(frozen=True)
class Record:
    """Where something was changed, and what was `before`.

    `index` is that of the link, 0 if no link was changed; `data_dir` is where the
    backup lies that the reference plugin would read.
    """

    netns: str
    netns_identity: str
    index: int
    data_dir: str
    before: Values


def read(owner: Attachment) -> Record | None:
    """Return the record of `owner`, or None when there is none."""
    document = attachments.read(PLUGIN, owner)
    if document is None:
        return None
    return Record(
        str(document.get("netns", "")),
        str(document.get("netnsIdentity", "")),
        int(document.get("index", 0)),
        str(document.get("dataDir", "")),
        Values(dict(document.get("link", {})), dict(document.get("sysctl", {}))),
    )


def replace(owner: Attachment, old: Record | None, new: Record | None) -> None:
    """Have `new` written down for `owner` instead of `old`, our record first.

    Whoever is killed in between leaves at least the record, by which DEL finds the
    backup.
    """
    if new is not None:
        document = {
            "netns": new.netns,
            "netnsIdentity": new.netns_identity,
            "index": new.index,
            "dataDir": new.data_dir,
            "link": new.before.link,
            "sysctl": new.before.sysctl,
        }
        attachments.write(PLUGIN, owner, document)
    kept = new.data_dir if new is not None and new.before.link else ""
    if new is not None and kept:
        backup.write(kept, owner, new.before.link)
    for directory in {each.data_dir for each in (old, new) if each} - {kept}:
        backup.delete(directory, owner)
    if new is None:
        attachments.delete(PLUGIN, owner)
