# SPDX-License-Identifier: Apache-2.0
"""Limits without a record: the reference plugin's, or ours after the record's loss."""

from __future__ import annotations

from cni_common import naming
from cni_common.kernel import filters, ifbs, link_removal, links, netns, qdiscs
from cni_common.kernel.netlink import Netlink
from cni_common.naming import Attachment
from cni_common.rollback import Gather
from cni_common.sides import sides
from plugins.bandwidth import names, record, shaping

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.kernel.link_answer import Link
    from cni_common.sides import Sides


def release(owner: Attachment, path: str) -> None:
    """Have no ifb of `owner`, and no limits on its veth if `path` leads there."""
    with Netlink() as host, Gather() as each:
        for ifb in _found(host, owner):
            each(_release_veth, owner, path, ifb)
            each(link_removal.delete, ifb)
        each(record.delete, owner)  # a killed ADD leaves half a file


def collect(network: str, valid: Collection[tuple[str, str]]) -> None:
    """Have no ifb that says it is of an attachment to `network` which is not valid.

    The reference's ifbs do not say whose they are, so they stay.
    """
    kept = {naming.alias(Attachment(network, *identity)) for identity in valid}
    with Netlink() as host, Gather() as each:
        for ifb in ifbs.of_host(host):
            if ifb.alias.startswith(f"cni {network} ") and ifb.alias not in kept:
                each(link_removal.delete, ifb)


def _found(host: Netlink, owner: Attachment) -> list[Link]:
    inherited, own = names.ifbs(owner)
    found = []
    for name, aliases in (
        (inherited, {"", naming.alias(owner)}),
        (own, {naming.alias(owner)}),
    ):
        ifb = ifbs.get(host, name)
        if ifb is not None and ifb.alias in aliases:
            found.append(ifb)
    return found


def _release_veth(owner: Attachment, path: str, ifb: Link) -> None:
    """Have no limits on the container's veth, if it is the one that leads to `ifb`."""
    container = netns.open_living(path)
    if container is None:
        return
    container.close()
    with sides(path) as side:
        veth = _host_end(side, owner)
        if veth is None:
            return
        listed = filters.of_link(side.host, veth, qdiscs.INGRESS)
        leading = [one for one in listed if one.redirect == ifb.index]
        if leading:
            found = [(one.priority, one.protocol) for one in leading]
            filters.delete(side.host, veth, qdiscs.INGRESS, found)
            shaping.delete_filters(side.host, veth)
            shaping.delete_ingress_if_empty(side.host, veth)
            for kind in ("tbf", "htb"):
                qdiscs.delete_root(side.host, veth, kind)


def _host_end(side: Sides, owner: Attachment) -> Link | None:
    end = links.get(side.container, owner.ifname)
    if end is None or end.kind != "veth":
        return None
    other = links.by_index(side.host, end.peer)
    # An index alone could be that of a link in any namespace.
    return other if other is not None and other.peer == end.index else None
