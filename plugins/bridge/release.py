# SPDX-License-Identifier: Apache-2.0
"""What DEL and GC take away: rules first, then the link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common import masquerade, naming, spoofcheck
from cni_common.kernel import addresses, links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.rollback import Gather
from plugins.bridge import record

if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPInterface
    from cni_common.spec.request import Request
    from plugins.bridge.record import Record


def rules_and_link(owner: Attachment, request: Request, noted: Record) -> None:
    """Have no rule and no link of the attachment that `noted` describes."""
    with Gather() as each:
        each(recorded, owner, noted)
        if netns.lives(request.netns, noted.netns_identity):
            each(_delete_inside, owner, request.netns)


def stale(owner: Attachment) -> None:
    """Have nothing of an attachment that is known from its record only."""
    noted = record.read(owner)
    if noted is not None:
        recorded(owner, noted)
        record.delete(owner)


def recorded(owner: Attachment, noted: Record) -> None:
    """Have no rule and no host veth of what `noted` describes."""
    with Gather() as each:
        if noted.spoofcheck:
            each(spoofcheck.release, noted.host_veth)
        if noted.masquerade:
            each(masquerade.release, owner, noted.masquerade)
        each(host_veth, owner, noted.host_veth, noted.host_mac)


def unrecorded(owner: Attachment, request: Request) -> None:
    """Have nothing of an attachment that we do not remember.

    It was deleted before, or its record is lost, or the reference plugin made it.
    """
    from cni_common import inherited  # noqa: PLC0415 - rare: a foreign attachment

    with Gather() as each:
        held = each(_delete_inside, owner, request.netns) or []
        name = naming.host_veth(owner)
        each(host_veth, owner, name)
        each(spoofcheck.release, name)
        each(masquerade.release, owner)
        each(inherited.spoofcheck, owner)
        each(inherited.masquerade, owner, held)


def host_veth(owner: Attachment, name: str, mac: str = "") -> None:
    """Delete the host's end of the attachment's pair, if it is still that.

    A killed ADD may have left it without its alias; then it has the recorded `mac`.
    """
    with Netlink() as host:
        link = links.get(host, name) if name else None
        if link is None:
            return
        if link.alias == naming.alias(owner) or (mac and link.mac == mac):
            links.delete(host, name)


def _delete_inside(owner: Attachment, path: str) -> list[IPInterface]:
    """Delete the container's end and return the addresses that it had.

    A link whose other end says that it belongs to another attachment stays: the
    path may name the namespace of a new container by now.
    """
    container = netns.open_living(path)
    if container is None:
        return []
    with container, Netlink() as host:
        with netns.entered(container):
            inside = Netlink()
        with inside:
            link = links.get(inside, owner.ifname)
            if link is None or _is_of_another(host, link, owner):
                return []
            held = [item.address for item in addresses.of_link(inside, link)]
            links.delete(inside, link.name)
    return [address for address in held if not address.ip.is_link_local]


def _is_of_another(host: Netlink, link: Link, owner: Attachment) -> bool:
    other = links.by_index(host, link.peer) if link.kind == "veth" else None
    if other is None or not other.alias.startswith("cni "):
        return False
    return other.alias != naming.alias(owner)
