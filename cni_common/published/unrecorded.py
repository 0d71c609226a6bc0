# SPDX-License-Identifier: Apache-2.0
"""Ports of attachments without a record: known from configuration and claims."""

from __future__ import annotations

from contextlib import suppress

from cni_common import attachments, naming
from cni_common.attachment import record
from cni_common.attachment.node import Node
from cni_common.frame.rollback import Gather
from cni_common.parts.published_ports import PublishedPorts, withdraw
from cni_common.published import ledger, localnet
from cni_common.published.claims import Port
from cni_common.reference import hostports
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPInterface
    from cni_common.spec.request import Request


def delete(node: Node) -> None:
    """Withdraw the ports that the configuration names.

    Those, too, that are on record again after a loss, and rules of the reference
    plugin. GC goes by claims instead.
    """
    request = node.request
    if request is None or request.command != "DEL":
        return
    with Gather() as errors:
        errors.attempt(_delete_recalled, node)
        ports = _asked(request)
        if ports:
            errors.attempt(withdraw, node, node.attachment, ports)
        errors.attempt(hostports.delete, node.attachment, _addresses(request))


def collect(network: str, valid: frozenset[tuple[str, str]]) -> None:
    """Withdraw the ports of attachments of `network` that are not `valid`.

    All that the others need is there again; without others the table is gone.
    """
    with Gather() as errors:
        errors.attempt(ledger.recall)
        kept = attachments.identities(network, valid)
        for owner, ports in ledger.holders(errors).items():
            key = (owner.container_id, owner.ifname)
            if owner.network == network and key not in kept:
                errors.attempt(_delete_claims, owner, ports)
        errors.attempt(ledger.restore)
        errors.attempt(ledger.remove_unused)
        errors.attempt(localnet.restore)


def _delete_recalled(node: Node) -> None:
    """Delete what was lost and is on record again, under what stands for the owner."""
    ledger.recall()
    owner = naming.recalled(node.attachment)
    found = record.read_for_removal(ledger.NAME, owner)
    if found is not None:
        for part in found.parts:
            assert isinstance(part, PublishedPorts)
            withdraw(node, owner, part.ports, part)
        record.delete(ledger.NAME, owner)


def _delete_claims(owner: Attachment, ports: Iterable[Port]) -> None:
    with Node(owner, ledger.NAME) as node:
        withdraw(node, owner, ports)
    attachments.delete(ledger.NAME, owner)


def _asked(request: Request) -> set[Port]:
    """Return the ports that the runtime names, as far as they are any."""
    found = set()
    conf = gojson.member(request.document, "runtimeConfig")
    listed = gojson.member(conf, "portMappings") if isinstance(conf, dict) else None
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict):
            protocol = str(gojson.member(each, "protocol") or "tcp").lower()
            with suppress(ValueError):
                found.add(Port.named(f"{protocol}-{gojson.member(each, 'hostPort')}"))
    return found


def _addresses(request: Request) -> list[IPInterface]:
    """Return the addresses in prevResult, none if it cannot be read."""
    with suppress(CNIError):
        previous = request.prev_result
        return [ip.address for ip in previous.ips] if previous else []
    return []
