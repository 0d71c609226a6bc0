# SPDX-License-Identifier: Apache-2.0
"""The record of an attachment: the names it has, for which addresses, and where they
are asked for.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cni_common import attachments, naming
from plugins.dnsname import names

if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPAddress

PLUGIN = "dnsname"


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
    document = attachments.read(PLUGIN, owner)
    if document is None:
        return None
    return Record(
        tuple(document.get("names", ())),
        tuple(ipaddress.ip_address(text) for text in document.get("addresses", ())),
        tuple(ipaddress.ip_address(text) for text in document.get("servers", ())),
    )


def delete(owner: Attachment) -> None:
    """Have no record of `owner`."""
    attachments.delete(PLUGIN, owner)
