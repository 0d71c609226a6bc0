# SPDX-License-Identifier: Apache-2.0
"""The record of an attachment: what its link and parameters were like before ADD."""

from __future__ import annotations

from cni_common import attachments, shapes
from cni_common.spec.values import dataclass
from plugins.tuning import backup
from plugins.tuning.values import Values

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.shapes import Table

PLUGIN = "tuning"


def _parameter(value: object) -> str:
    """Return the path of a parameter below /proc/sys."""
    name = shapes.text(value)
    if not name.startswith("net/") or ".." in name.split("/"):
        msg = f"{name!r:.40} is no parameter"
        raise ValueError(msg)
    return name


def _data_dir(value: object) -> str:
    directory = shapes.text(value)
    if directory and not backup.is_acceptable(directory):
        msg = f"{directory!r:.40} is no directory"
        raise ValueError(msg)
    return directory


_TABLE: Table = {
    "netns": (shapes.text, ""),
    "netnsIdentity": (shapes.text, ""),
    "index": (shapes.number, 0),
    "dataDir": (_data_dir, ""),
    "link": (backup.settings, {}),
    "sysctl": (shapes.mapped(_parameter, shapes.text), {}),
}


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
    document = attachments.read(PLUGIN, owner, _TABLE)
    if document is None:
        return None
    return Record(
        document["netns"],
        document["netnsIdentity"],
        document["index"],
        document["dataDir"],
        Values(document["link"], document["sysctl"]),
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
