# SPDX-License-Identifier: Apache-2.0
"""What limits an attachment in the kernel, made and taken away.

What the container receives passes the root of the host's end: tbf, or where subnets
tell traffic apart htb with one limited class. What it sends comes in there and is
redirected to an ifb, whose root is tbf.
"""

from __future__ import annotations

from cni_common import naming
from cni_common.kernel import filters, ifbs, link_removal, links, qdiscs
from cni_common.kernel.filters import ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, Filter
from cni_common.rollback import Gather
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.naming import Attachment
    from cni_common.rollback import Rollback
    from plugins.bandwidth.limits import Limits
    from plugins.bandwidth.record import Record

_PROTOCOLS = {4: ETH_P_IP, 6: ETH_P_IPV6}
# One priority has one protocol, and the first that matches decides.
_PRIORITIES = {4: 1, 6: 2}
# Of what comes in, behind the filters of all others, such as the guard of a link with
# route_localnet: what they drop must not get round them, and what is redirected is not
# asked again.
_LAST_PRIORITIES = {4: 0xFF01, 6: 0xFF02, 0: 0xFF03}


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
    if noted.adds_ingress:
        qdiscs.add_ingress(host, veth)
    undo(_stop_redirecting, host, veth, noted)
    filters.add(host, veth, qdiscs.INGRESS, egress_filters(limits, ifb))
    return ifb


def release(host: Netlink, noted: Record) -> None:
    """Have none of what `ensure` makes; the host's end may be gone.

    First what redirects, for a packet that is led to a missing ifb is lost.
    """
    limits = noted.limits
    with Gather() as each:
        veth = each(host_end, host, noted)
        if veth is not None and limits.egress is not None:
            each(_stop_redirecting, host, veth, noted)
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
            _LAST_PRIORITIES[network.version],
            _PROTOCOLS[network.version],
            filters.keys(network, source=False),
            redirect=redirect,
        )
        for network in limits.subnets
    ]
    if not limits.only:
        last = _LAST_PRIORITIES[0]
        found.append(Filter(last, ETH_P_ALL, redirect=ifb.index))
    return found


def delete_filters(host: Netlink, veth: Link) -> None:
    """Have none of the filters that lead what comes in by `veth` to an ifb."""
    protocols = {0: ETH_P_ALL, **_PROTOCOLS}
    ours = [(_LAST_PRIORITIES[key], protocol) for key, protocol in protocols.items()]
    filters.delete(host, veth, qdiscs.INGRESS, ours)


def delete_ingress_if_empty(host: Netlink, veth: Link) -> None:
    """Have no ingress discipline, unless somebody has filters in it."""
    if not filters.is_any(host, veth, qdiscs.INGRESS):
        qdiscs.delete_ingress(host, veth)


def _stop_redirecting(host: Netlink, veth: Link, noted: Record) -> None:
    """Have nothing of ours where `veth` is filtered, and all that is of others."""
    if qdiscs.has_ingress(host, veth):
        delete_filters(host, veth)
        if noted.adds_ingress:
            delete_ingress_if_empty(host, veth)


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
