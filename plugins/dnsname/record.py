# SPDX-License-Identifier: Apache-2.0
"""The record of an attachment: the names it has, for which addresses, and where they
are asked for.
"""

from __future__ import annotations

from cni_common import attachments, naming, shapes
from cni_common.spec.values import dataclass
from plugins.dnsname import names

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.shapes import Table
    from cni_common.spec.fields import IPAddress

PLUGIN = "dnsname"
_TABLE: Table = {
    "names": (shapes.listed(shapes.word), ()),
    "addresses": (shapes.listed(shapes.address), ()),
    "servers": (shapes.listed(shapes.address), ()),
}


@dataclass(frozen=True)
class Record:
    """What ADD does: `names` for `addresses`, answered at the addresses `servers`."""

    names: tuple[str, ...]
    addresses: tuple[IPAddress, ...]
    servers: tuple[IPAddress, ...]

    def hosts(self, owner: Attachment) -> str:
        """Return what dnsmasq reads for `owner`."""
        return names.hosts(naming.comment(owner), self.names, self.addresses)


def write(owner: Attachment, record: Record) -> None:
    """Write down what is done, or about to be done, for `owner`."""
    document = {
        "names": list(record.names),
        "addresses": [str(address) for address in record.addresses],
        "servers": [str(server) for server in record.servers],
    }
    attachments.write(PLUGIN, owner, document)


def read(owner: Attachment) -> Record | None:
    """Return the record of `owner`, or None when there is none."""
    document = attachments.read(PLUGIN, owner, _TABLE)
    if document is None:
        return None
    return Record(document["names"], document["addresses"], document["servers"])


def delete(owner: Attachment) -> None:
    """Have no record of `owner`."""
    attachments.delete(PLUGIN, owner)
