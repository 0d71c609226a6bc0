# SPDX-License-Identifier: Apache-2.0
"""The bridge plugin's record of an attachment: what DEL, GC and CHECK will need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cni_common import attachments
from cni_common.spec.fields import subnet
from cni_common.spec.result import Route

if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPNetwork
    from cni_common.spec.result import Result
    from plugins.bridge.conf import BridgeConf
    from plugins.bridge.veth import Pair, Sides

PLUGIN = "bridge"


@dataclass(frozen=True)
class Record:
    """What ADD did: the namespace it did it in, the host's end, the rules."""

    netns_identity: str = ""
    host_veth: str = ""
    spoofcheck: bool = False
    masquerade: tuple[IPNetwork, ...] = ()
    routes: tuple[Route, ...] = field(default=())


def write(
    owner: Attachment, side: Sides, conf: BridgeConf, pair: Pair, result: Result
) -> Record:
    """Write down what is done, or about to be done, for `owner`; return the same."""
    subnets = {ip.address.network for ip in result.ips} if conf.ip_masq else set()
    record = Record(
        side.namespace.identity,
        pair.host,
        conf.macspoofchk,
        tuple(sorted(subnets, key=str)),
        tuple(result.routes),
    )
    document = {
        "netns": side.namespace.path,
        "netnsIdentity": record.netns_identity,
        "bridge": conf.bridge,
        "hostVeth": record.host_veth,
        "spoofcheck": record.spoofcheck,
        "masquerade": [str(network) for network in record.masquerade],
        "routes": [route.document() for route in record.routes],
    }
    attachments.write(PLUGIN, owner, document)
    return record


def read(owner: Attachment) -> Record | None:
    """Return the record of `owner`, or None when there is none."""
    document = attachments.read(PLUGIN, owner)
    return None if document is None else _record(document)


def delete(owner: Attachment) -> None:
    """Have no record of `owner`."""
    attachments.delete(PLUGIN, owner)


def _record(document: dict[str, Any]) -> Record:
    return Record(
        str(document.get("netnsIdentity", "")),
        str(document.get("hostVeth", "")),
        bool(document.get("spoofcheck")),
        tuple(subnet(text) for text in document.get("masquerade", [])),
        tuple(Route.model_validate(route) for route in document.get("routes", [])),
    )
