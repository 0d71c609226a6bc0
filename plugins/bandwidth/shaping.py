# SPDX-License-Identifier: Apache-2.0
"""What limits an attachment in the kernel, made and taken away.

What the container receives passes the root of the host's end: tbf, or where subnets
tell traffic apart htb with one limited class. What it sends comes in there and is
redirected to an ifb, whose root is tbf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common import naming
from cni_common.kernel import filters, ifbs, link_removal, links, qdiscs
from cni_common.kernel.filters import ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, Filter
from cni_common.rollback import Gather
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.naming import Attachment
    from cni_common.rollback import Rollback
    from plugins.bandwidth.limits import Limits
    from plugins.bandwidth.record import Record

_PROTOCOLS = {4: ETH_P_IP, 6: ETH_P_IPV6}
# One priority has one protocol, and the first that matches decides. Before them all
# is the guard of a link with route_localnet, for what is redirected is not asked again.
_PRIORITIES = {4: 2, 6: 3}
_LAST_PRIORITY = 4


def ensure(
    host: Netlink, owner: Attachment, noted: Record, undo: Rollback
) -> Link | None:
    """Have the limits of `noted` in force and return the ifb, if one is needed.

    The host's end must have no disciplines. Raises code 999, undone by `undo`.
    """
    veth = links.existing(host, noted.veth)
    limits = noted.limits
    if limits.ingress is not None:
        undo_root = (qdiscs.delete_root, host, veth, root_kind(limits))
        bucket = limits.ingress.bucket(noted.mtu)
        if limits.subnets:
            qdiscs.add_htb(host, veth, limits_by_default=not limits.only)
            undo(*undo_root)
            qdiscs.add_limited_class(host, veth, bucket)
            filters.add(host, veth, qdiscs.ROOT_HANDLE, ingress_filters(limits))
        else:
            qdiscs.add_tbf(host, veth, bucket)
            undo(*undo_root)
    if limits.egress is None:
        return None
    ifb = _add_ifb(host, owner, noted, undo)
    qdiscs.add_tbf(host, ifb, limits.egress.bucket(noted.mtu))
    qdiscs.add_ingress(host, veth)
    undo(qdiscs.delete_ingress, host, veth)
    wanted = egress_filters(limits, ifb)
    filters.add(host, veth, qdiscs.INGRESS_HANDLE, wanted)
    return ifb


def release(host: Netlink, noted: Record) -> None:
    """Have none of what `ensure` makes; the host's end may be gone.

    First what redirects, for a packet that is led to a missing ifb is lost.
    """
    limits = noted.limits
    with Gather() as each:
        veth = each(host_end, host, noted)
        if veth is not None and limits.egress is not None:
            each(qdiscs.delete_ingress, host, veth)
        if veth is not None and limits.ingress is not None:
            each(qdiscs.delete_root, host, veth, root_kind(limits))
        if limits.egress is not None:
            each(_delete_ifb, host, noted)


def host_end(host: Netlink, noted: Record) -> Link | None:
    """Return the host's end of the attachment, or None when it is gone."""
    veth = links.get(host, noted.veth)
    return veth if veth is not None and veth.index == noted.index else None


def own_ifb(host: Netlink, noted: Record) -> Link | None:
    """Return the ifb of the attachment, or None when it is missing."""
    for name in noted.ifbs:
        ifb = ifbs.get(host, name)
        if ifb is not None and ifb.mac == noted.ifb_mac:
            return ifb
    return None


def root_kind(limits: Limits) -> str:
    """Return the kind of the discipline that limits what the container receives."""
    return "htb" if limits.subnets else "tbf"


def ingress_filters(limits: Limits) -> list[Filter]:
    """Return the filters of packets that come from the subnets."""
    flow = qdiscs.LIMITED if limits.only else qdiscs.ROOT_HANDLE
    return [
        Filter(
            _PRIORITIES[network.version],
            _PROTOCOLS[network.version],
            filters.keys(network, source=True),
            flow=flow,
        )
        for network in limits.subnets
    ]


def egress_filters(limits: Limits, ifb: Link) -> list[Filter]:
    """Return the filters that send to `ifb` what is limited."""
    redirect = ifb.index if limits.only else 0
    found = [
        Filter(
            _PRIORITIES[network.version],
            _PROTOCOLS[network.version],
            filters.keys(network, source=False),
            redirect=redirect,
        )
        for network in limits.subnets
    ]
    if not limits.only:
        found.append(Filter(_LAST_PRIORITY, ETH_P_ALL, redirect=ifb.index))
    return found


def _add_ifb(host: Netlink, owner: Attachment, noted: Record, undo: Rollback) -> Link:
    for name in noted.ifbs:
        if ifbs.add(host, name, mac=noted.ifb_mac, mtu=noted.mtu):
            undo(links.delete, host, name)
            links.set_alias(host, name, naming.alias(owner))
            return links.existing(host, name)
    msg = f"add ifb {' or '.join(noted.ifbs)}: there is a link of that name"
    raise CNIError(Code.INTERNAL, msg)


def _delete_ifb(host: Netlink, noted: Record) -> None:
    ifb = own_ifb(host, noted)
    if ifb is not None:
        link_removal.delete(ifb)
