# SPDX-License-Identifier: Apache-2.0
"""Taking names away, with or without a record; no configuration is read for it."""

from __future__ import annotations

from cni_common.naming import Attachment
from cni_common.rollback import Gather
from plugins.dnsname import record, server

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


def detach(request: Request) -> bool:
    """Have no name lead to the attachment; false if there is no record of it."""
    owner = Attachment.of(request)
    recorded = record.read(owner) is not None
    withdraw(request, owner)
    return recorded


def withdraw(request: Request, owner: Attachment) -> None:
    """Have no name lead to `owner`; the network's last one takes dnsmasq along."""
    with server.lock():
        noted = record.read(owner)
        with Gather() as each:
            each(server.withdraw, owner)
            if not each.errors:
                record.delete(owner)
        if noted is not None and server.is_used(owner.network):
            _await_removed(request, owner, noted)


def _await_removed(request: Request, owner: Attachment, noted: record.Record) -> None:
    """The address may pass to another container now, but not with the old name."""
    from plugins.dnsname import answers  # noqa: PLC0415 - only while others remain

    with server.running(owner.network) as process:
        if process is None:
            return
    if not answers.await_removed(owner.network, noted):
        name = noted.names[0] if noted.names else str(owner)
        request.log.warning(f"dnsmasq of {owner.network} still knows {name}")
