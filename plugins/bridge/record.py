# SPDX-License-Identifier: Apache-2.0
"""The bridge plugin's record of an attachment: what DEL, GC and CHECK will need."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cni_common import attachments

if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPInterface, IPNetwork

PLUGIN = "bridge"


@dataclass(frozen=True)
class Record:
    """What ADD does: the namespace it does it in, the host's end, rules, addresses.

    `gateways` are the addresses of the bridge that the attachment relies on, `routes`
    documents of the result, with all their fields.
    """

    netns: str
    netns_identity: str
    bridge: str
    ipam: str
    host_veth: str
    host_mac: str
    spoofcheck: bool = False
    masquerade: tuple[IPNetwork, ...] = ()
    gateways: tuple[IPInterface, ...] = ()
    routes: tuple[dict[str, Any], ...] = ()


def write(owner: Attachment, record: Record) -> None:
    """Write down what is done, or about to be done, for `owner`."""
    document = {
        "netns": record.netns,
        "netnsIdentity": record.netns_identity,
        "bridge": record.bridge,
        "ipam": record.ipam,
        "hostVeth": record.host_veth,
        "hostMac": record.host_mac,
        "spoofcheck": record.spoofcheck,
        "masquerade": [str(network) for network in record.masquerade],
        "gateways": [str(address) for address in record.gateways],
        "routes": list(record.routes),
    }
    attachments.write(PLUGIN, owner, document)


def read(owner: Attachment) -> Record | None:
    """Return the record of `owner`, or None when there is none."""
    document = attachments.read(PLUGIN, owner)
    return None if document is None else _record(document)


def delete(owner: Attachment) -> None:
    """Have no record of `owner`."""
    attachments.delete(PLUGIN, owner)


def others_on(bridge: str, owner: Attachment) -> list[Record]:
    """Return the records of all other attachments to `bridge`; for a failed ADD."""
    records = [
        _record(document)
        for other, document in attachments.of_plugin(PLUGIN)
        if other != owner
    ]
    return [record for record in records if record.bridge == bridge]


def _record(document: dict[str, Any]) -> Record:
    return Record(
        str(document.get("netns", "")),
        str(document.get("netnsIdentity", "")),
        str(document.get("bridge", "")),
        str(document.get("ipam", "")),
        str(document.get("hostVeth", "")),
        str(document.get("hostMac", "")),
        bool(document.get("spoofcheck")),
        tuple(ipaddress.ip_network(text) for text in document.get("masquerade", [])),
        tuple(ipaddress.ip_interface(text) for text in document.get("gateways", [])),
        tuple(document.get("routes", [])),
    )
