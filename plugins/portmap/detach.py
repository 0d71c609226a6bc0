# SPDX-License-Identifier: Apache-2.0
"""Taking ports away: by the record of the attachment, so that DEL reads no
configuration and imports no model of one.
"""

from __future__ import annotations

from cni_common import attachments, naming, shapes
from cni_common.kernel import conntrack
from cni_common.naming import Attachment
from plugins.portmap import ledger, localnet
from plugins.portmap.claims import granted

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cni_common.shapes import Table
    from cni_common.spec.request import Request
    from plugins.portmap.claims import Port
    from plugins.portmap.ledger import Claims

NAME = ledger.NAME
_TABLE: Table = {
    "ports": (shapes.listed(shapes.same(ledger.port_of)), ()),
    "addresses": (shapes.listed(shapes.same(shapes.address)), ()),
    "links": (shapes.listed(shapes.link), ()),
}


def detach(request: Request) -> bool:
    """Have no port lead to the attachment; false if there is no record of it."""
    attachment = Attachment.of(request)
    if read(attachment) is None:
        ledger.recall()
        attachment = naming.recalled(attachment)
        if read(attachment) is None:
            return False
    withdraw(request, attachment, ())
    return True


def withdraw(request: Request, attachment: Attachment, ports: Iterable[Port]) -> None:
    with ledger.lock():
        recorded = read(attachment)
        before = ledger.load({*ports, *ports_of(recorded)})
        after = {
            port: granted(port, present, attachment, [])
            for port, present in before.items()
        }
        for link in {*links_needed(before), *links_of(recorded)}:
            localnet.release(link, attachment)
        ledger.apply(before, after)
        attachments.delete(NAME, attachment)
    forget(request, flows(before, attachment))


def read(attachment: Attachment) -> dict[str, Any] | None:
    """Return what is recorded of `attachment`, or None."""
    return attachments.read(NAME, attachment, _TABLE)


def ports_of(recorded: dict[str, Any] | None) -> list[Port]:
    return list(map(ledger.port_of, recorded["ports"])) if recorded else []


def links_of(recorded: dict[str, Any] | None) -> list[str]:
    return list(recorded["links"]) if recorded else []


def links_needed(claims: Claims) -> list[str]:
    """Return the links that need route_localnet for the claims, sorted."""
    every = [claim for held in claims.values() for claim in held if claim.snat]
    found = {t.link for claim in every for t in claim.targets if t.family == 4}  # noqa: PLR2004 - the family's number
    return sorted(found - {""})


def flows(claims: Claims, attachment: Attachment) -> list[conntrack.Flow]:
    """Return the UDP flows that the attachment's claims are about."""
    return [
        conntrack.Flow(family, port.number, at)
        for port, held in claims.items()
        if port.protocol == "udp"
        for claim in held
        if claim.attachment == attachment
        for family, at in claim.published.items()
    ]


def forget(request: Request, flows: list[conntrack.Flow]) -> None:
    if flows:
        cause = conntrack.delete_udp(set(flows))
        if cause:
            request.log.warning(f"delete UDP entries of conntrack: {cause}")
    request.log.step("conntrack")
